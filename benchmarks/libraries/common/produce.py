"""`produce.py MODE N`, in the environment and the folder of a library: enqueues N
tasks and prints one JSON line with the seconds and the CPU seconds it took.

The library's app.py has `send(number)` and, where the library has it,
`bulk(numbers)`; an async one also `opened()`, an async context manager.

Modes: seq (one at a time), gather (100 coroutines at once), bulk (1,000 a call),
fill (the fastest there is), latency (one each 10 ms, the time of sending as number).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Iterator

import app

IS_ASYNC = inspect.iscoroutinefunction(app.send)
BULK = getattr(app, "bulk", None)


def chunks(n: int, size: int) -> Iterator[range]:
    for start in range(0, n, size):
        yield range(start, min(start + size, n))


def produce(mode: str, n: int) -> None:
    if mode == "latency":
        for _ in range(n):
            app.send(time.time_ns())
            time.sleep(0.01)
    elif mode == "bulk":
        for numbers in chunks(n, 1000):
            BULK(numbers)
    else:
        for number in range(n):
            app.send(number)


async def produce_async(mode: str, n: int) -> None:
    if mode == "latency":
        for _ in range(n):
            await app.send(time.time_ns())
            await asyncio.sleep(0.01)
    elif mode == "bulk":
        for numbers in chunks(n, 1000):
            await BULK(numbers)
    elif mode == "gather":
        for numbers in chunks(n, 100):
            await asyncio.gather(*[app.send(number) for number in numbers])
    else:
        for number in range(n):
            await app.send(number)


async def timed_async(mode: str, n: int) -> tuple[float, float]:
    async with app.opened():
        start, cpu = time.perf_counter(), time.process_time()
        await produce_async(mode, n)
        return time.perf_counter() - start, time.process_time() - cpu


def timed(mode: str, n: int) -> tuple[float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    produce(mode, n)
    return time.perf_counter() - start, time.process_time() - cpu


def main(mode: str, n: int) -> None:
    if mode == "fill":
        mode = "bulk" if BULK else "gather" if IS_ASYNC else "seq"
    if (mode == "bulk" and not BULK) or (mode == "gather" and not IS_ASYNC):
        print(f"no {mode} in this library")
        return
    seconds, cpu = asyncio.run(timed_async(mode, n)) if IS_ASYNC else timed(mode, n)
    print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
