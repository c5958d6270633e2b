"""All measures, in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Callable

from fluxqueue_bench.harness import Bench

from . import (
    backlog,
    enqueueing,
    fairness,
    idle_queues,
    option_calls,
    recording,
    recovery,
    scheduling,
    working,
)
from .measure import Measure, Values

Run = Callable[[Bench], Values]


def suite(quick: bool) -> list[Measure]:
    """The measures; a quick run takes fewer, with fewer tasks."""
    scale = 1 if quick else 2
    found: list[Measure] = []
    for group, measures in (
        ("Enqueue", _enqueue(scale)),
        ("Worker", _worker(scale)),
        ("Idle", _idle()),
        ("Backlog", _backlog(scale)),
        ("Scheduler", _scheduler(scale)),
        ("Fairness", _fairness()),
    ):
        found += [
            Measure(name.lstrip("*"), group, run, quick=name.startswith("*"))
            for name, run in measures.items()
        ]
    return [measure for measure in found if measure.quick or not quick]


# A name that begins with * is measured by a quick run too.


def _enqueue(scale: int) -> dict[str, Run]:
    def mode(name: str, n: int, value: float = 0) -> Run:
        return lambda bench: enqueueing.enqueue(bench, name, n * scale, value)

    def limit(together: bool) -> Run:
        return lambda bench: enqueueing.beside_the_limit(bench, 10_000 * scale, together)

    def many(mode: str, n: int, together: int) -> Run:
        return lambda b: enqueueing.many_beside_the_limit(b, mode, n * scale, together)

    def delayed(together: bool) -> Run:
        return lambda b: option_calls.pinned(b, 50 * scale, together, "plain", "enqueue", "delay")

    options = (
        *("delay, a view per call", "priority"),
        *("result_ttl", "result_ttl, a view per call", "task_id, a view per call"),
    )

    return {
        "*one at a time, beside redis-benchmark (pinned to one core each)": limit(False),
        "*one at a time, beside redis-benchmark (pinned to the same core)": limit(True),
        "*one at a time": mode("one", 10_000),
        "one at a time, 4 threads": mode("threads", 20_000, 4),
        "one at a time, 16 threads": mode("threads", 20_000, 16),
        "*awaited one by one": mode("await", 10_000),
        "*100 gathered, asyncio": mode("gather", 100_000),
        "*100 gathered, uvloop": mode("gather-uvloop", 100_000),
        "*bulk, 1,000 a call": mode("bulk", 300_000),
        "100 gathered, uvloop, beside redis-benchmark": many("gather-uvloop", 100_000, 100),
        "*bulk, 1,000 a call, beside redis-benchmark": many("bulk", 300_000, 1_000),
        "*Redis memory of a waiting task": lambda b: enqueueing.bytes_per_task(b, 100_000 * scale),
        "argument of 1 KiB": lambda b: enqueueing.sized(b, 1 << 10),
        "argument of 10 KiB": lambda b: enqueueing.sized(b, 10 << 10),
        "argument of 100 KiB": lambda b: enqueueing.sized(b, 100 << 10),
        "argument of 1 MiB": lambda b: enqueueing.sized(b, 1 << 20),
        "*delayed, one at a time (pinned to one core each)": delayed(False),
        "*delayed, one at a time (pinned to the same core)": delayed(True),
        "delayed, awaited one by one": lambda b: option_calls.of_plain(b, 50 * scale, "async"),
        "options, one at a time": lambda b: option_calls.of_plain(
            b, 50 * scale, "plain", "enqueue", *options
        ),
        "import fluxqueue": enqueueing.import_time,
        "import fluxqueue, and declare a task": lambda b: enqueueing.import_time(
            b, enqueueing.FIRST_TASK
        ),
    }


def _worker(scale: int) -> dict[str, Run]:
    def no_op(fill: str, n: int, *flags: str) -> Run:
        return lambda bench: working.no_op(bench, fill, n * scale, *flags)

    def sleeping(seconds: float, concurrency: int, asynchronous: bool = False) -> Run:
        return lambda bench: working.sleeping(bench, seconds, concurrency, asynchronous)

    return {
        "*no-op, default settings": no_op("fill", 200_000),
        "no-op, a process per core": no_op("fill", 300_000, "--processes", "auto"),
        "*async no-op, default settings": no_op("fill-async", 150_000, "-q", "async"),
        "async no-op, a process per core": no_op(
            "fill-async", 200_000, "-q", "async", "--processes", "auto"
        ),
        "no-op, with and without a record": lambda b: recording.with_and_without(
            b, 100_000 * scale
        ),
        "1 ms, concurrency 10": sleeping(0.001, 10),
        "1 ms, concurrency 100": sleeping(0.001, 100),
        "*50 ms, concurrency 10": sleeping(0.05, 10),
        "*50 ms, concurrency 100": sleeping(0.05, 100),
        "1 ms, async, concurrency 10": sleeping(0.001, 10, True),
        "1 ms, async, concurrency 100": sleeping(0.001, 100, True),
        "50 ms, async, concurrency 10": sleeping(0.05, 10, True),
        "50 ms, async, concurrency 100": sleeping(0.05, 100, True),
        "latency at half load": lambda b: working.half_load(b, 200_000),
        "launch to first task": lambda b: working.launch(b, False),
        "launch to first async task": lambda b: working.launch(b, True),
    }


def _idle() -> dict[str, Run]:
    def idle(concurrency: int, asynchronous: bool = False) -> Run:
        return lambda bench: working.idle(bench, concurrency, asynchronous)

    return {
        "*PING, 10 ms apart": working.round_trips,
        "*idle, concurrency 4": idle(4),
        "*idle, concurrency 75": idle(75),
        "idle, async tasks, concurrency 4": idle(4, asynchronous=True),
        "idle, async tasks, concurrency 75": idle(75, asynchronous=True),
        "idle, OpenTelemetry, concurrency 4": lambda b: working.idle_traced(b, 4),
        "idle, OpenTelemetry, concurrency 75": lambda b: working.idle_traced(b, 75),
        "1,500 idle queues": lambda b: idle_queues.idle_queues(b, 1_500),
    }


def _backlog(scale: int) -> dict[str, Run]:
    def waiting(n: int, delayed: int = 0) -> Run:
        return lambda bench: backlog.waiting(bench, n, delayed)

    return {
        "10,000 waiting": waiting(10_000),
        "100,000 waiting": waiting(100_000),
        "1,000,000 waiting": waiting(1_000_000),
        "5,000,000 waiting": waiting(5_000_000),
        "10,000 waiting, 1,000,000 delayed": waiting(10_000, 1_000_000),
    }


def _scheduler(scale: int) -> dict[str, Run]:
    return {
        "promotion of 1,000,000 due tasks": lambda b: scheduling.promotion(b, 500_000 * scale),
        "rescue of 10,000 tasks": lambda b: scheduling.rescue(b, 10_000),
        "SIGKILL recovery": lambda b: recovery.sigkill(b, 200, 0.05),
    }


def _fairness() -> dict[str, Run]:
    return {
        "two workers, 200 tasks of 100 ms": lambda b: fairness.two_workers(b, 200, 0.1),
        "two workers, 200 tasks of 100 ms, after 100,000 fast ones": lambda b: fairness.two_workers(
            b, 200, 0.1, fast=100_000
        ),
        "a small queue beside an empty one": lambda b: fairness.two_queues(b, 0),
        "a small queue beside one of 1,000,000": lambda b: fairness.two_queues(b, 1_000_000),
    }
