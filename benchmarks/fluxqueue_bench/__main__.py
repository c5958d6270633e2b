"""`scripts/bench`: measures and prints a table.

Each figure is the median of the repeats, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from . import machine, telemetry
from .harness import Bench
from .tasks import RECORD


def rate(n: int, seconds: float) -> float:
    return n / seconds


def enqueue(bench: Bench, mode: str, n: int) -> dict[str, float]:
    bench.reset()
    return {"tasks/s": rate(n, bench.enqueue(mode, n))}


def limit(bench: Bench, n: int) -> dict[str, float]:
    bench.reset()
    return {"tasks/s": bench.lpush_limit(n, 160)}


def work(bench: Bench, fill: str, n: int, *flags: str) -> dict[str, float]:
    """The queue is filled first; from the first record to the last."""
    bench.reset()
    bench.enqueue(fill, n)
    redis_before = machine.cpu_seconds(bench.redis.pid)
    with bench.worker(*flags) as worker:
        bench.wait_for(1)
        began = machine.cpu_seconds(worker.pid)
        bench.wait_for(n)
        cpu = machine.cpu_seconds(worker.pid) - began
        redis = machine.cpu_seconds(bench.redis.pid) - redis_before
    ends = [end for _, end in bench.records()]
    return {
        "tasks/s": rate(len(ends) - 1, (max(ends) - min(ends)) / 1e9),
        "worker CPU s/1k": cpu / n * 1000,
        "Redis CPU s/1k": redis / n * 1000,
    }


def idle(bench: Bench, *flags: str) -> dict[str, float]:
    """Memory of a worker that has worked a little, and its latency when idle."""
    bench.reset()
    with bench.worker(*flags) as worker:
        bench.enqueue("one", 20)
        bench.wait_for(21)
        time.sleep(1)
        pss = machine.pss_mib(worker.pid)
        before = machine.cpu_seconds(worker.pid)
        time.sleep(2)
        cpu = (machine.cpu_seconds(worker.pid) - before) / 2
        bench.forget_records()
        bench.enqueue("latency", 200)
        bench.wait_for(201)
    delays = sorted((end - sent) / 1e6 for sent, end in bench.records() if sent > 0)
    return {
        "idle PSS MiB": pss,
        "idle CPU %": cpu * 100,
        "p50 ms": delays[len(delays) // 2],
        "p99 ms": delays[int(len(delays) * 0.99)],
    }


def bytes_per_task(bench: Bench, n: int) -> dict[str, float]:
    """What Redis needs for each waiting task, by its own account."""
    import redis

    bench.reset()
    with redis.Redis.from_url(bench.redis.url) as client:
        before = client.info("memory")["used_memory"]
        bench.enqueue("fill", n)
        return {"bytes": (client.info("memory")["used_memory"] - before) / n}


def measures(scale: int) -> dict[str, Callable[[Bench], dict[str, float]]]:
    """Name → measurement; `scale` multiplies the numbers of tasks."""
    return {
        "redis-benchmark LPUSH, one client": lambda b: limit(b, 10_000 * scale),
        "enqueue, one at a time": lambda b: enqueue(b, "one", 5_000 * scale),
        "enqueue, 100 gathered, asyncio": lambda b: enqueue(b, "gather", 50_000 * scale),
        "enqueue, 100 gathered, uvloop": lambda b: enqueue(b, "gather-uvloop", 50_000 * scale),
        "enqueue, bulk, 1,000 a call": lambda b: enqueue(b, "bulk", 200_000 * scale),
        "worker, no-op, default (concurrency 4)": lambda b: work(b, "fill", 150_000 * scale),
        "worker, no-op, concurrency 10": lambda b: work(b, "fill", 150_000 * scale, "-c", "10"),
        "worker, async no-op, concurrency 10": lambda b: work(
            b, "fill-async", 100_000 * scale, "-c", "10", "-q", "async"
        ),
        "idle worker, concurrency 4": idle,
        "idle worker, concurrency 75": lambda b: idle(b, "-c", "75"),
        "Redis memory of a waiting task": lambda b: bytes_per_task(b, 100_000 * scale),
    }


def show(name: str, runs: list[dict[str, float]]) -> None:
    for what in runs[0]:
        values = [run[what] for run in runs]
        digits = 0 if min(values) > 100 else 4 if max(values) < 0.1 else 2
        low, middle, high = (
            f"{value:,.{digits}f}"
            for value in (min(values), statistics.median(values), max(values))
        )
        print(f"| {name} | {what} | {middle} | {low} to {high} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "telemetry"), default="all")
    parser.add_argument("--quick", action="store_true", help="under three minutes, one repeat")
    parser.add_argument("--repeats", type=int, help="how often each is measured (3; quick: 1)")
    parser.add_argument("--only", default="", help="only measures whose name has this in it")
    options = parser.parse_args()
    repeats = options.repeats or (1 if options.quick else 3)
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    if options.what == "telemetry":
        telemetry.main(options.quick, repeats)
        return
    print(f"records of {RECORD.size} bytes, {repeats} repeats, Redis on the same cores\n")
    print("| measure | unit | median | range |\n|---|---|---|---|")
    with Bench() as bench:
        for name, measure in measures(1 if options.quick else 2).items():
            if options.only in name:
                show(name, [measure(bench) for _ in range(repeats)])


if __name__ == "__main__":
    main()
