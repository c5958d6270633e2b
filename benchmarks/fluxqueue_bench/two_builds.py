"""Compares two builds of the core by the instructions that plain tasks cost with each.

    python -m fluxqueue_bench.two_builds ONE/bin/python OTHER/bin/python

Each environment has all packages and the tools of requirements-dev.txt. valgrind counts
the user code of all threads, whatever else the machine does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fluxqueue.embedded import EmbeddedRedis

from .harness import FOLDER

CLIENT = """
import asyncio, sys
from fluxqueue import FluxQueue

fluxqueue = FluxQueue()

@fluxqueue.task()
def plain(n: int) -> None: ...

@fluxqueue.task()
async def awaited(n: int) -> None: ...

async def gathered(hundreds: int) -> None:
    for _ in range(hundreds):
        await asyncio.gather(*[awaited(i) for i in range(100)])

hundreds = int(sys.argv[2])
if sys.argv[1] == "gathered":
    asyncio.run(gathered(hundreds))
else:
    for i in range(hundreds * 100):
        plain(i)
"""
WORKER = """
from fluxqueue_bench.harness import Bench
from fluxqueue_bench.instructions import of_worker
with Bench() as bench:
    print(of_worker(bench, 3000))
"""


def of_client(python: str, kind: str, url: str) -> float:
    """Instructions for each call, without those of the start."""
    totals = []
    environment = os.environ | {"FLUXQUEUE_REDIS_URL": url, "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "dump")
        valgrind = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={dump}")
        for hundreds in ("5", "35"):
            command = (*valgrind, python, "-c", CLIENT, kind, hundreds)
            subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
            found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
            assert found is not None
            totals.append(int(found[1]))
    return (totals[1] - totals[0]) / 3000


def main(one: str, other: str) -> None:
    with EmbeddedRedis() as redis:
        for kind in ("plain", "gathered"):
            print_ratio(kind, *(of_client(python, kind, redis.url) for python in (one, other)))
    counted = []
    for python in (one, other):
        done = subprocess.run([python, "-c", WORKER], cwd=FOLDER, check=True, capture_output=True)
        counted.append(float(done.stdout.split()[-1]))
    print_ratio("worker", *counted)


def print_ratio(kind: str, one: float, other: float) -> None:
    print(f"{kind:9}{one:8.0f}{other:8.0f}{other / one:7.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
