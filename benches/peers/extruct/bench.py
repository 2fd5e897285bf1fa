"""Pages per second of extruct (JSON-LD and microdata) over the pages named on standard input, one path a line.

One thread, pages in memory and decompressed, one warm-up round, then the given number of rounds; prints the rate.
"""

import gzip
import logging
import sys
import time

import extruct

logging.disable(logging.CRITICAL)


def load(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        return file.read().decode("utf-8", "replace")


def run(pages):
    for page in pages:
        try:
            extruct.extract(page, syntaxes=["json-ld", "microdata"], errors="ignore")
        except Exception:  # a page that extruct cannot read counts as read
            pass


pages = [load(line.rstrip("\n")) for line in sys.stdin if line.strip()]
rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
run(pages[:50])
started = time.perf_counter()
for _ in range(rounds):
    run(pages)
print(len(pages) * rounds / (time.perf_counter() - started))
