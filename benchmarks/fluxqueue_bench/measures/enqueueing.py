"""What an enqueue costs the caller."""

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
    """One at a time beside redis-benchmark with one client and the same bytes, in
    turns, Redis pinned to one core and either client to another, or to the same."""
    bench.reset()
    bench.enqueue("bulk", 1)
    message: Any = bench.client.lindex(key("pending", "default"), 0)
    ours, limit = [], []
    with bench.pinned(together=together):
        for _ in range(3):
            bench.reset()
            limit.append(bench.lpush_limit(n, message))
            bench.reset()
            ours.append(n / bench.enqueue("one", n))
    return {
        "tasks/s": statistics.median(ours),
        "redis-benchmark LPUSH/s": statistics.median(limit),
        "of redis-benchmark": statistics.median(ours) / statistics.median(limit),
    }


def many_beside_the_limit(bench: Bench, mode: str, n: int, together: int) -> Values:
    """Many a call beside redis-benchmark with as many of the same bytes in each LPUSH,
    in turns, Redis pinned to one core and either client to another."""
    asynchronous = mode.startswith("gather")
    bench.reset()
    bench.enqueue("fill-async" if asynchronous else "fill", 1)
    message: Any = bench.client.lindex(key("pending", "async" if asynchronous else "default"), 0)
    ours, limit = [], []
    with bench.pinned():
        for _ in range(3):
            bench.reset()
            limit.append(bench.lpush_limit(n, message, together))
            bench.reset()
            ours.append(n / bench.enqueue(mode, n))
    return {
        "tasks/s": statistics.median(ours),
        f"redis-benchmark, {together:,} a command, tasks/s": statistics.median(limit),
        "of redis-benchmark": statistics.median(ours) / statistics.median(limit),
    }


def sized(bench: Bench, size: int) -> Values:
    """One at a time with an argument of so many bytes, and its way through a worker."""
    n = max(200, min(20_000, (64 << 20) // size))
    bench.reset()
    seconds = bench.enqueue("sized", n, size)
    with bench.worker():
        bench.wait_for(n + 1)
    ends = [end for number, end, _ in bench.records() if number >= 0]
    return {"enqueued/s": n / seconds, "worked/s": (n - 1) / ((max(ends) - min(ends)) / 1e9)}


def bytes_per_task(bench: Bench, n: int) -> Values:
    """What Redis needs for each waiting task, by its own account."""
    bench.reset()
    before = int(bench.client.info("memory")["used_memory"])
    bench.enqueue("fill", n)
    after = int(bench.client.info("memory")["used_memory"])
    return {"bytes": (after - before) / n}


def import_time(bench: Bench) -> Values:
    """Milliseconds that `import fluxqueue` takes in a new interpreter; the median of seven."""
    code = "import time; a = time.perf_counter(); import fluxqueue; print(time.perf_counter() - a)"
    return {"ms": statistics.median(float(bench.python("-c", code)) for _ in range(7)) * 1000}
