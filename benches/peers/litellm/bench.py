"""LiteLLM as a peer of the router bench: `bench.py PROMPTS`, a JSON array of texts.

Writes `ready`, then for each line of standard input takes one turn and writes its figures as a JSON line, in microseconds of CPU:
`plan COUNT` chooses a model by complexity (`hook`), counts the prompt's tokens (`count`) and prices it (`price`);
`router COUNT CALLERS` lets that many callers call through a Router whose replies are mocked in the process (`cpu`).
"""

import asyncio
import json
import logging
import os
import sys
import time

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOG", "ERROR")

import litellm
from litellm import Router, cost_per_token, token_counter

logging.disable(logging.CRITICAL)
litellm.suppress_debug_info = True

TIERS = {"SIMPLE": "gpt-4o-mini", "MEDIUM": "gpt-4o", "COMPLEX": "gpt-4.1", "REASONING": "o3"}
REPLY = "There are 14 products on the page; two of them have no price and were left out."
CAP = 256




def router():
    """A tier of each model, mocked within the process, and a name that stands for whichever fits."""
    models = [
        {"model_name": name, "litellm_params": {"model": "openai/" + name, "api_key": "sk-bench", "mock_response": REPLY}}
        for name in TIERS.values()
    ]
    smart = {"model": "auto_router/complexity_router", "complexity_router_config": {"tiers": TIERS}}
    return Router(model_list=[*models, {"model_name": "smart", "litellm_params": smart}])


def said(prompts, at):
    return [{"role": "user", "content": prompts[at % len(prompts)]}]


def micros(begun, count):
    return (time.process_time() - begun) * 1e6 / count


async def plan(router, prompts, count):
    hook = router.complexity_routers["smart"][0].strategy.async_pre_routing_hook
    chosen = []
    begun = time.process_time()
    for at in range(count):
        chosen.append((await hook(model="smart", request_kwargs={}, messages=said(prompts, at))).model)
    figures = {"hook": micros(begun, count)}
    counted = []
    begun = time.process_time()
    for at in range(count):
        counted.append(token_counter(model=chosen[at], messages=said(prompts, at)))
    figures["count"] = micros(begun, count)
    begun = time.process_time()
    priced = [
        cost_per_token(model=chosen[at], prompt_tokens=counted[at], completion_tokens=CAP) for at in range(count)
    ]
    figures["price"] = micros(begun, count)
    assert all(model in TIERS.values() for model in chosen) and all(prompt > 0 < reply for prompt, reply in priced)
    return figures


async def call(router, prompts, count, callers):
    async def caller(number):
        for at in range(number, count, callers):
            reply = await router.acompletion(model="gpt-4o", messages=said(prompts, at), max_tokens=CAP)
            assert reply.choices[0].message.content == REPLY

    begun = time.process_time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return {"cpu": micros(begun, count)}


async def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        prompts = json.load(file)
    here = router()
    print("ready", flush=True)
    while line := sys.stdin.readline().split():
        turn = plan if line[0] == "plan" else call
        figures = await turn(here, prompts, *map(int, line[1:]))
        rows = [{"name": name, "value": value, "unit": "us"} for name, value in figures.items()]
        print(json.dumps(rows), flush=True)


asyncio.run(main())
