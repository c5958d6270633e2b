"""The cost of an enqueue for the caller."""

from __future__ import annotations

import statistics
from typing import Any

from fluxqueue_core import key

from fluxqueue_bench.harness import Bench

from .measure import Values


def enqueue(bench: Bench, mode: str, n: int, value: float = 0) -> Values:
    """Tasks a second of one producer process, and what it asks of Redis for them."""
    bench.reset()
    seconds = bench.enqueue(mode, n, value)
    # One more task has opened the connection.
    return {"tasks/s": n / seconds, **bench.commands().per_thousand(n + 1)}


def beside_the_limit(bench: Bench, n: int, together: bool) -> Values:
    """Enqueues one at a time, in turns with redis-benchmark, which sends the same bytes
    with one client. Redis has one core; both clients have another, or the same."""
    bench.reset()
    bench.enqueue("bulk", 1)
    ours, limit = _in_turns(bench, "one", n, together=together)
    return {
        "tasks/s": ours,
        "redis-benchmark LPUSH/s": limit,
        "of redis-benchmark": ours / limit,
    }


def many_beside_the_limit(bench: Bench, mode: str, n: int, at_once: int) -> Values:
    """Enqueues many per call, in turns with redis-benchmark, whose LPUSH has equally many
    of the same bytes. Redis has one core, and both clients another."""
    asynchronous = mode.startswith("gather")
    bench.reset()
    bench.enqueue("fill-async" if asynchronous else "fill", 1)
    ours, limit = _in_turns(bench, mode, n, "async" if asynchronous else "default", at_once)
    return {
        "tasks/s": ours,
        f"redis-benchmark, {at_once:,} a command, tasks/s": limit,
        "of redis-benchmark": ours / limit,
    }


def _in_turns(
    bench: Bench,
    mode: str,
    n: int,
    queue: str = "default",
    at_once: int = 1,
    *,
    together: bool = False,
) -> tuple[float, float]:
    """Tasks a second of ours and of redis-benchmark, with the bytes of the message that
    waits in the queue: the medians of three."""
    message: Any = bench.client.lindex(key("pending", queue), 0)
    ours, limit = [], []
    with bench.pinned(together=together):
        for _ in range(3):
            bench.reset()
            limit.append(bench.lpush_limit(n, message, at_once))
            bench.reset()
            ours.append(n / bench.enqueue(mode, n))
    return statistics.median(ours), statistics.median(limit)


def sized(bench: Bench, size: int) -> Values:
    """One at a time with an argument of `size` bytes, and through a worker."""
    n = max(200, min(20_000, (64 << 20) // size))
    bench.reset()
    seconds = bench.enqueue("sized", n, size)
    with bench.worker():
        bench.wait_for(n + 1)
    ends = [end for number, end, _ in bench.records() if number >= 0]
    return {"enqueued/s": n / seconds, "worked/s": (n - 1) / ((max(ends) - min(ends)) / 1e9)}


def bytes_per_task(bench: Bench, n: int) -> Values:
    """The memory of a waiting task, by Redis' own account."""
    bench.reset()
    before = int(bench.client.info("memory")["used_memory"])
    bench.enqueue("fill", n)
    after = int(bench.client.info("memory")["used_memory"])
    return {"bytes": (after - before) / n}


def import_time(bench: Bench, statements: str = "import fluxqueue") -> Values:
    """Milliseconds that statements take in a new interpreter; the median of seven."""
    code = f"import time\na = time.perf_counter()\n{statements}\nprint(time.perf_counter() - a)"
    return {"ms": statistics.median(float(bench.python("-c", code)) for _ in range(7)) * 1000}


# The client is loaded when a name of it is used.
FIRST_TASK = "from fluxqueue import FluxQueue\n@FluxQueue().task()\ndef work(a: int): ..."
