"""Enqueueing, in a process of its own: `python -m fluxqueue_bench.enqueue MODE N`.

Prints the seconds that N tasks took.
"""

from __future__ import annotations

import asyncio
import sys
import time

from . import sdk
from .tasks import PAYLOAD, async_noop, noop

GATHERED = 100
IN_A_CALL = 1_000


def one_at_a_time(n: int) -> None:
    for number in range(n):
        noop(number, *PAYLOAD)


async def gathered(n: int) -> None:
    for start in range(0, n, GATHERED):
        numbers = range(start, min(start + GATHERED, n))
        await asyncio.gather(*[async_noop(number, *PAYLOAD) for number in numbers])


def bulk(n: int) -> None:
    for start in range(0, n, IN_A_CALL):
        noop.enqueue_many([(i, *PAYLOAD) for i in range(start, min(start + IN_A_CALL, n))])


def bulk_async_queue(n: int) -> None:
    async_noop.enqueue_many([(i, *PAYLOAD) for i in range(n)])


def latency(n: int) -> None:
    """One task every 10 ms, with the time of sending as its number."""
    for _ in range(n):
        noop(time.time_ns(), *PAYLOAD)
        time.sleep(0.01)


def timed(mode: str, n: int) -> float:
    """Seconds for n tasks; a first one opens the connection."""
    if mode.startswith("gather"):

        async def run() -> float:
            await async_noop(-1, *PAYLOAD)
            start = time.perf_counter()
            await gathered(n)
            return time.perf_counter() - start

        if mode == "gather-uvloop":
            import uvloop

            return uvloop.run(run())
        return asyncio.run(run())
    noop(-1, *PAYLOAD)
    start = time.perf_counter()
    {
        "one": one_at_a_time,
        "bulk": bulk,
        "fill": bulk,
        "fill-async": bulk_async_queue,
        "latency": latency,
    }[mode](n)
    return time.perf_counter() - start


if __name__ == "__main__":
    with sdk.request(sdk.set_up()):
        print(timed(sys.argv[1], int(sys.argv[2])))
