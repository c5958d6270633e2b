"""`scripts/bench middleware`: the cost for each task of middleware, and of a dependency too.

One thread takes real attempts from Redis, runs them and settles them, as a worker's threads do, and
counts its own processor time. The kinds of tasks take turns, so that a busy machine slows all of
them down. An async task ends in its first step, which this makes without an event loop.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import Any

from fluxqueue import Depends, FluxQueue, Middleware
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue.middleware import Attempt, AttemptSteps
from fluxqueue_core import Consumer, Settings
from fluxqueue_core.service.log import ERROR, Logger
from fluxqueue_worker.around_attempts import AroundAttempts
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.registered_task import RegisteredTask

from . import machine

TASKS, ROUNDS, QUICK_ROUNDS = 1_000, 60, 20


class Nothing(Middleware):
    """Does nothing, which is what is measured."""

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        yield


THREE = [Nothing(), Nothing(), Nothing()]


def noop(number: int) -> None: ...


async def async_noop(number: int) -> None: ...


def thing() -> int:
    """A dependency."""
    return 1


def dependent(number: int, thing: int = Depends(thing)) -> None: ...


async def async_dependent(number: int, thing: int = Depends(thing)) -> None: ...


def kinds(queue: FluxQueue) -> dict[str, Any]:
    """The kinds of tasks, each in its own queue; the first is the one without middleware."""
    found: dict[str, Any] = {}
    for name, func, middleware in (
        ("none", noop, []),
        ("three middlewares", noop, THREE),
        ("three middlewares and one dependency", dependent, THREE),
        ("async none", async_noop, []),
        ("async three middlewares", async_noop, THREE),
        ("async three middlewares and one dependency", async_dependent, THREE),
    ):
        key = name.replace(" ", "-")
        function: Any = func
        found[name] = queue.task(name=key, queue=key, middleware=middleware)(function)
    return found


class Kind:
    """One kind of tasks with a consumer that serves only them."""

    def __init__(self, settings: Settings, task: Any) -> None:
        self._task = task
        record = RegisteredTask(task)
        # The attempts are all made here: no loop takes them.
        self._consumer = consumer = Consumer(
            settings, [task.queue], {task.queue: {task.task_name: (False, record)}}
        )
        events = TaskEvents(Logger(ERROR, lambda fields: b"", lambda line: None))
        outcomes = Outcomes(consumer, events)
        watch: Any = None
        record.prepare(watch, AroundAttempts(outcomes).inside((), record))
        self._once = _attempt(consumer, record, outcomes)
        consumer.start()

    def microseconds(self) -> float:
        """The processor time for each of some tasks."""
        self._task.enqueue_many([(number,) for number in range(TASKS)])
        self._once()
        before = thread_time_ns()
        for _ in range(TASKS - 1):
            self._once()
        return (thread_time_ns() - before) / (TASKS - 1) / 1e3

    def close(self) -> None:
        self._consumer.stop()


def _attempt(
    consumer: Consumer, record: RegisteredTask, outcomes: Outcomes
) -> Callable[[], object]:
    """One attempt as the worker's threads make it."""
    func, run, storage = record.func, record.run, dict[str, Any]()
    take, succeed = consumer.take, outcomes.succeed

    def once() -> None:
        attempt = take()
        assert attempt is not None
        result = func(*attempt.args) if run is None else run(attempt, storage)
        if record.is_async:
            with contextlib.suppress(StopIteration):
                result.send(None)
        succeed(attempt)

    return once


def measure(rounds: int) -> dict[str, list[float]]:
    """Microseconds of each kind in each round."""
    with EmbeddedRedis(appendfsync="no") as server:
        queue = FluxQueue(server.url)
        found = {name: Kind(queue.settings, task) for name, task in kinds(queue).items()}
        for kind in found.values():
            kind.microseconds()
        times = [{name: kind.microseconds() for name, kind in found.items()} for _ in range(rounds)]
        for kind in found.values():
            kind.close()
        queue.close()
    return {name: [each[name] for each in times] for name in found}


def table(times: dict[str, list[float]]) -> Sequence[str]:
    """The lines of a table: medians, and the median of what a kind costs more in its round."""
    lines = ["| kind | us per task | more than none |", "|---|---|---|"]
    for name, found in times.items():
        base = times["async none" if name.startswith("async") else "none"]
        more = statistics.median(one - other for one, other in zip(found, base, strict=True))
        lines.append(f"| {name} | {statistics.median(found):.3f} | {more:.3f} |")
    return lines


def main(quick: bool) -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    print("\n".join(["", *table(measure(QUICK_ROUNDS if quick else ROUNDS))]))
    return 0
