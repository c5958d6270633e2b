"""The goals for the figures, on two cores with Redis on the same two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .results import Spread

Spreads = dict[tuple[str, str, str, str], Spread]


@dataclass(frozen=True)
class Peer:
    """Another library, or redis-benchmark, by the measure of a goal.

    Attributes:
        then: its figure on the machine that the goals were written on.
        where: the place of the same figure in a run (library, group, name, what).
        unit: of both figures, if it differs from the unit of the goal.
    """

    name: str
    then: float
    where: tuple[str, str, str, str]
    unit: str = ""

    def here(self, spreads: Spreads) -> float | None:
        """The median of a run; None if it was not measured."""
        spread = spreads.get(self.where)
        return None if spread is None else spread.median


def _peer(name: str, then: float, group: str, settings: str, what: str, unit: str = "") -> Peer:
    """A library of the comparison, by its folder in `benchmarks/libraries`."""
    return Peer(name, then, (name, f"{group}, compared", settings, what), unit)


@dataclass(frozen=True)
class Goal:
    """One line of the table of goals.

    Attributes:
        text: the goal in words.
        value: reads the measured value from a run's spreads (KeyError: not measured).
        reached: whether a value reaches the goal.
        peers: the best libraries when the goal was set.
    """

    measure: str
    text: str
    value: Callable[[Spreads], float]
    reached: Callable[[float], bool]
    peers: tuple[Peer, ...] = ()


def _median(group: str, name: str, what: str) -> Callable[[Spreads], float]:
    return lambda spreads: spreads["fluxqueue", group, name, what].median


def _at_least(measure: str, goal: float, value: Callable[[Spreads], float], *peers: Peer) -> Goal:
    return Goal(measure, f"at least {goal:,.10g}", value, lambda found: found >= goal, peers)


def _at_most(measure: str, goal: float, value: Callable[[Spreads], float], *peers: Peer) -> Goal:
    return Goal(measure, f"at most {goal:,.10g}", value, lambda found: found <= goal, peers)


def _worst(group: str, name: str, what: str) -> Callable[[Spreads], float]:
    """The most of all repeats, for what may never be exceeded."""
    return lambda spreads: spreads["fluxqueue", group, name, what].high


# Cost is compared with that of the first; all are cases of the group "Backlog".
_SMALL, _LARGE = "10,000 waiting", ("5,000,000 waiting", "10,000 waiting, 1,000,000 delayed")


def _cost_growth(what: str) -> Callable[[Spreads], float]:
    """The worst cost of a task with a large backlog, as a multiple of that with a small one."""

    def value(spreads: Spreads) -> float:
        small, *large = (
            spreads["fluxqueue", "Backlog", name, what].median for name in (_SMALL, *_LARGE)
        )
        return small / min(large)

    return value


# The package of this name in the public index, its worker built from source.
_OLD = "fluxqueue_0_3_2"
_DRAMATIQ_ONE = "1 process, 2 threads, queue_prefetch 1000"
_DRAMATIQ_TWO = "best: 2 processes, 3 threads, queue_prefetch 1000"
_HUEY = _peer("huey", 7_955, "Enqueue", "seq", "tasks/s", "/s")
_ARQ = _peer("arq", 25, "Idle", "1 process, max_jobs 10 (default)", "PSS MiB")


def _of_redis_benchmark(where: str) -> Goal:
    name = f"one at a time, beside redis-benchmark (pinned to {where})"
    limit = ("fluxqueue", "Enqueue", name, "redis-benchmark LPUSH/s")
    return _at_least(
        f"enqueue one at a time, of redis-benchmark LPUSH, {where}",
        0.95,
        _median("Enqueue", name, "of redis-benchmark"),
        _HUEY,
        Peer("redis-benchmark", 17_472, limit, "/s"),
    )


GOALS = [
    *(_of_redis_benchmark(where) for where in ("one core each", "the same core")),
    _at_least(
        "100 gathered, asyncio, tasks/s",
        170_000,
        _median("Enqueue", "100 gathered, asyncio", "tasks/s"),
        _peer("saq", 10_852, "Enqueue", "gather", "tasks/s"),
    ),
    _at_least(
        "100 gathered, uvloop, tasks/s",
        240_000,
        _median("Enqueue", "100 gathered, uvloop", "tasks/s"),
    ),
    _at_least(
        "bulk, tasks/s",
        1_000_000,
        _median("Enqueue", "bulk, 1,000 a call", "tasks/s"),
        _peer("bullmq", 27_590, "Enqueue", "bulk", "tasks/s"),
    ),
    _at_least(
        "worker no-op, one process, tasks/s",
        150_000,
        _median("Worker", "no-op, default settings", "tasks/s"),
        _peer(_OLD, 12_997, "Worker", "1 process, 16 executors", "tasks/s"),
        _peer("dramatiq", 4_813, "Worker", _DRAMATIQ_ONE, "tasks/s"),
    ),
    _at_least(
        "worker no-op, a process per core, tasks/s",
        250_000,
        _median("Worker", "no-op, a process per core", "tasks/s"),
        _peer(_OLD, 13_679, "Worker", "best: 2 processes, 16 executors", "tasks/s"),
        _peer("dramatiq", 10_730, "Worker", _DRAMATIQ_TWO, "tasks/s"),
    ),
    _at_least(
        "worker async no-op, one process, tasks/s",
        120_000,
        _median("Worker", "async no-op, default settings", "tasks/s"),
        _peer("taskiq_stream", 3_676, "Worker", "1 process, 100 async", "tasks/s"),
    ),
    _at_most(
        "worker CPU, s per 1,000 tasks",
        0.006,
        _median("Worker", "no-op, default settings", "worker CPU s/1k"),
        _peer(_OLD, 0.096, "Worker", "best: 2 processes, 16 executors", "worker CPU s/1k"),
        _peer("dramatiq", 0.14, "Worker", _DRAMATIQ_TWO, "worker CPU s/1k"),
    ),
    _at_most(
        "Redis CPU, s per 1,000 tasks",
        0.002,
        _median("Worker", "no-op, default settings", "Redis CPU s/1k"),
    ),
    _at_most(
        "latency idle p50, ms",
        0.15,
        _median("Idle", "idle, concurrency 4", "p50 ms"),
        _peer("huey", 0.33, "Idle", "1 thread (default)", "p50 ms"),
    ),
    _at_most(
        "latency idle p99, ms",
        0.4,
        _median("Idle", "idle, concurrency 4", "p99 ms"),
        _peer("huey", 0.76, "Idle", "1 thread (default)", "p99 ms"),
    ),
    _at_most(
        "idle PSS, concurrency 4, MiB",
        18,
        _median("Idle", "idle, concurrency 4", "PSS MiB"),
        _peer(_OLD, 19, "Idle", "1 process, 4 executors (default)", "PSS MiB"),
        _ARQ,
    ),
    _at_most(
        "idle PSS, concurrency 75, MiB", 25, _median("Idle", "idle, concurrency 75", "PSS MiB")
    ),
    _at_most(
        "idle PSS with async tasks, concurrency 4, MiB",
        24,
        _median("Idle", "idle, async tasks, concurrency 4", "PSS MiB"),
        _ARQ,
    ),
    _at_most(
        "idle PSS with async tasks, concurrency 75, MiB",
        35,
        _median("Idle", "idle, async tasks, concurrency 75", "PSS MiB"),
    ),
    _at_most(
        "idle PSS with OpenTelemetry, concurrency 4, MiB",
        38,
        _median("Idle", "idle, OpenTelemetry, concurrency 4", "PSS MiB"),
    ),
    _at_most(
        "idle PSS with OpenTelemetry, concurrency 75, MiB",
        45,
        _median("Idle", "idle, OpenTelemetry, concurrency 75", "PSS MiB"),
    ),
    _at_most(
        "Redis bytes per waiting task",
        140,
        _median("Enqueue", "Redis memory of a waiting task", "bytes"),
        _peer(_OLD, 101, "Enqueue", "seq", "Redis bytes/task"),
        _peer("huey", 162, "Enqueue", "seq", "Redis bytes/task"),
    ),
    _at_least(
        "sleeping tasks of 50 ms at concurrency 100, of ideal",
        0.98,
        _median("Worker", "50 ms, concurrency 100", "of ideal"),
    ),
    _at_most(
        "enqueue cost with 5,000,000 waiting or 1,000,000 delayed, of that with 10,000",
        1.1,
        _cost_growth("enqueued/s"),
    ),
    _at_most(
        "worker cost with 5,000,000 waiting or 1,000,000 delayed, of that with 10,000",
        1.1,
        _cost_growth("worked/s"),
    ),
    _at_least(
        "promotion of due tasks, tasks/s",
        200_000,
        _median("Scheduler", "promotion of 1,000,000 due tasks", "tasks/s"),
    ),
    _at_most(
        "slowest script of the promotion in any repeat, ms",
        2,
        _worst("Scheduler", "promotion of 1,000,000 due tasks", "slowest script ms"),
    ),
    _at_most(
        "slowest recovery from a worker's SIGKILL in any repeat, s",
        12,
        _worst("Scheduler", "SIGKILL recovery", "s"),
    ),
    _at_most(
        "most tasks lost by a worker's SIGKILL in any repeat",
        0,
        _worst("Scheduler", "SIGKILL recovery", "lost"),
    ),
    _at_most(
        "part of the busier of two workers, 200 tasks of 100 ms",
        0.55,
        _median("Fairness", "two workers, 200 tasks of 100 ms", "part of the busier"),
    ),
]
