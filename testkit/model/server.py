"""A server of OpenAI's protocol over llama.cpp. Arguments: the model's file, the port (0: a free one). The key is in ATLAS_MODEL_KEY.

It says `listening ADDRESS` once it answers, on the loopback interface, and runs until it is killed.
"""

import os
import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"gemma-270m"}
params.port = int(sys.argv[2])
params.api_keys = [os.environ["ATLAS_MODEL_KEY"]]
# Four calls at once, each with a window of 2048 tokens.
params.n_ctx = 8192
params.n_parallel = 4
# Its threads wait for each other by spinning: more than one are slower on a machine that has other work.
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
# It starts sooner without these, and needs no more memory than it does.
params.fit_params = False
params.warmup = False
params.cache_ram_mib = 0
params.cache_idle_slots = False
params.ui = False
# Errors only.
params.verbosity = 1
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
signal.pause()
