"""Enqueues in a separate process:
`python -m fluxqueue_bench.enqueue MODE N [VALUE]`.

Prints the seconds that N tasks took.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine

from fluxqueue.task import Task

from . import sdk
from .async_tasks import async_nap, async_noop
from .tasks import PAYLOAD, compute, in_small_queue, nap, noop, silent

GATHERED = 100
IN_A_CALL = 1_000


def one_at_a_time(n: int) -> None:
    for number in range(n):
        noop(number, *PAYLOAD)


async def awaited(n: int) -> None:
    for number in range(n):
        await async_noop(number, *PAYLOAD)


async def gathered(n: int) -> None:
    for start in range(0, n, GATHERED):
        numbers = range(start, min(start + GATHERED, n))
        await asyncio.gather(*[async_noop(number, *PAYLOAD) for number in numbers])


def threads(n: int, count: int) -> None:
    """n tasks, one at a time in each of `count` threads."""
    ready = threading.Barrier(count)

    def work() -> None:
        ready.wait()
        one_at_a_time(n // count)

    running = [threading.Thread(target=work) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def bulk(n: int) -> None:
    for start in range(0, n, IN_A_CALL):
        noop.enqueue_many([(i, *PAYLOAD) for i in range(start, min(start + IN_A_CALL, n))])


def sized(n: int, size: int) -> None:
    """One at a time, with an argument of `size` bytes."""
    text = "x" * size
    fields: dict[str, object] = {"a": 1}
    for number in range(n):
        noop(number, text, fields)


def paced(n: int, rate: int) -> None:
    """n tasks at `rate` per second, numbered by the time of sending."""
    batch = max(1, rate // 500)
    start = time.perf_counter()
    for sent in range(0, n, batch):
        pause = start + sent / rate - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        now = time.time_ns()
        noop.enqueue_many([(now, *PAYLOAD)] * min(batch, n - sent))


def latency(n: int, task: Task[[int, str, dict[str, object]], None] = noop) -> None:
    """One task every 10 ms, with the time of sending as its number."""
    for _ in range(n):
        task(time.time_ns(), *PAYLOAD)
        time.sleep(0.01)


async def latency_async(n: int) -> None:
    for _ in range(n):
        await async_noop(time.time_ns(), *PAYLOAD)
        await asyncio.sleep(0.01)


def many(n: int, value: float, which: str) -> None:
    """Fills a queue, 1,000 a call."""
    for start in range(0, n, IN_A_CALL):
        numbers = range(start, min(start + IN_A_CALL, n))
        match which:
            case "async":
                async_noop.enqueue_many([(i, *PAYLOAD) for i in numbers])
            case "silent":
                silent.enqueue_many([(i, *PAYLOAD) for i in numbers])
            case "compute":
                compute.enqueue_many([(i,) for i in numbers])
            case "nap":
                nap.enqueue_many([(i, value) for i in numbers])
            case "nap-async":
                async_nap.enqueue_many([(i, value) for i in numbers])
            case _:
                raise SystemExit(f"no filling mode {which}")


SYNC: dict[str, Callable[[int, float], None]] = {
    "one": lambda n, _: one_at_a_time(n),
    "threads": lambda n, value: threads(n, int(value)),
    "bulk": lambda n, _: bulk(n),
    "sized": lambda n, value: sized(n, int(value)),
    "paced": lambda n, value: paced(n, int(value)),
    "latency": lambda n, _: latency(n),
    "latency-small": lambda n, _: latency(n, in_small_queue),
    "fill": lambda n, _: bulk(n),
    "fill-async": lambda n, value: many(n, value, "async"),
    "fill-silent": lambda n, value: many(n, value, "silent"),
    "fill-compute": lambda n, value: many(n, value, "compute"),
    "fill-nap": lambda n, value: many(n, value, "nap"),
    "fill-nap-async": lambda n, value: many(n, value, "nap-async"),
}
ASYNC: dict[str, Callable[[int], Coroutine[None, None, None]]] = {
    "await": awaited,
    "gather": gathered,
    "latency-async": latency_async,
}


def timed_async(mode: str, n: int, uvloop: bool) -> float:
    async def run() -> float:
        await async_noop(-1, *PAYLOAD)
        start = time.perf_counter()
        await ASYNC[mode](n)
        return time.perf_counter() - start

    if uvloop:
        import uvloop as loops

        return loops.run(run())
    return asyncio.run(run())


def timed(mode: str, n: int, value: float = 0) -> float:
    """Seconds for n tasks. A first one, number -1, opens the connection before them,
    but where a queue is only filled."""
    name = mode.removesuffix("-uvloop")
    if name in ASYNC:
        return timed_async(name, n, uvloop=name != mode)
    if not mode.startswith("fill"):
        noop(-1, *PAYLOAD)
    start = time.perf_counter()
    SYNC[mode](n, value)
    return time.perf_counter() - start


if __name__ == "__main__":
    with sdk.request(sdk.set_up()):
        print(timed(sys.argv[1], int(sys.argv[2]), float((sys.argv[3:] or ["0"])[0])))
