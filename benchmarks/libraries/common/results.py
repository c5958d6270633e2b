"""`results.py`, in the environment and the folder of a library whose worker runs: calls tasks
and waits for their results, and prints one JSON line with the figures.

The library's results_app.py has `call(number)`, which returns the result of one task, and
`call_many(numbers)`, which returns those of many that are in flight together; an async one
also `opened()`, an async context manager. Each task returns its number.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import statistics
import time

import results_app

IS_ASYNC = inspect.iscoroutinefunction(results_app.call)
# Seconds of each part, and what it takes at least: the slowest libraries poll twice a second.
SECONDS = 3.0
CALLS = 10
TOGETHER = 1_000


async def settled(value: object) -> object:
    """The value, which an async library gives as a coroutine."""
    return await value if inspect.isawaitable(value) else value


async def one_at_a_time() -> list[float]:
    """Seconds of each call."""
    took = []
    ends = time.perf_counter() + SECONDS
    while len(took) < CALLS or time.perf_counter() < ends:
        began, number = time.perf_counter(), len(took)
        # A sync library must not pay for an event loop.
        found = results_app.call(number)
        if IS_ASYNC:
            found = await found
        took.append(time.perf_counter() - began)
        if found != number:
            raise SystemExit(f"the result of {number} is {found!r}")
    return took


async def together() -> float:
    """Tasks a second, with `TOGETHER` in flight."""
    numbers = range(TOGETHER)
    done, began = 0, time.perf_counter()
    while not done or time.perf_counter() < began + SECONDS:
        found = await settled(results_app.call_many(numbers))
        if list(found) != list(numbers):
            raise SystemExit(f"the results are {found!r}"[:300])
        done += TOGETHER
    return done / (time.perf_counter() - began)


async def measured() -> dict[str, float]:
    for number in range(3):  # they open connections
        await settled(results_app.call(number))
    took = await one_at_a_time()
    await settled(results_app.call_many(range(10)))
    return {
        "one at a time, tasks/s": len(took) / sum(took),
        "one at a time, p50 ms": statistics.median(took) * 1000,
        "1,000 in flight, tasks/s": await together(),
    }


async def opened() -> dict[str, float]:
    async with results_app.opened():
        return await measured()


def without_loop() -> dict[str, float]:
    """Runs the coroutine to its end in a thread without a running loop: it never suspends."""
    coroutine = measured()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise SystemExit("a sync library has suspended the coroutine")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(opened()) if IS_ASYNC else without_loop()), flush=True)
