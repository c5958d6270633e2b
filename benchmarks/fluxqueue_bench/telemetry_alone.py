"""Measures the CPU time of telemetry alone, in a separate process:
`python -m fluxqueue_bench.telemetry_alone` prints microseconds as JSON.

The consumer and the producer do nothing here, so that only the Python parts around
them remain. The baseline is a call without any check for telemetry.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import Any

from fluxqueue import FluxQueue, blocking
from fluxqueue.options import Terms
from fluxqueue.task import Task
from fluxqueue_core import Route, Settings
from fluxqueue_core.service.log import ERROR, Logger
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.middleware import Middleware
from fluxqueue_worker.options import parse
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.telemetry import set_up as worker_set_up

from . import sdk

CALLS = 4_000
ROUNDS = 15
HEADERS = {
    "unsampled": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    "sampled": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


class NoProducer:
    """Sends nothing."""

    server = ("127.0.0.1", 6379)
    namespace = ""
    max_message_bytes = 8 << 20

    def enqueue(self, route: Route, args: Any, kwargs: Any, *more: Any) -> None: ...

    enqueue_async = enqueue


class UnaskingTask(Task[..., Any]):
    """The call as it would be without telemetry."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:
        self._check(*args, **kwargs)
        if blocking.running_loop() is not None:
            self._warn_of_blocked_loop("enqueue_async")
        try:
            self._enqueue(self._route, args, kwargs)
        except (TypeError, ValueError) as error:
            raise self._explain(error, args, kwargs) from None


class NoAttempt:
    """The attributes of an attempt that a worker and telemetry read."""

    task_id = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"
    name, queue = "noop", "default"
    args, kwargs = [1, "a"], None
    retries = deliveries = 0
    enqueued_at = 1_700_000_000_000

    def __init__(self, traceparent: str | None) -> None:
        self._headers = None if traceparent is None else (traceparent, None, None)

    def trace_headers(self) -> tuple[str | None, str | None, str | None] | None:
        return self._headers


class NoConsumer:
    """Always hands out the same attempt."""

    async_fd = running = 0

    def __init__(self, attempt: NoAttempt) -> None:
        self._attempt = attempt
        self.wants_thread = bool
        self.take_async = lambda: None

    def take(self) -> Any:
        return self._attempt

    def succeed(self, attempt: Any) -> bool:
        return True


def microseconds(call: Callable[[], object]) -> float:
    """The least of some rounds: what comes on top is other processes' doing."""

    def once() -> int:
        before = thread_time_ns()
        for _ in range(CALLS):
            call()
        return thread_time_ns() - before

    once()
    return min(once() for _ in range(ROUNDS)) / CALLS / 1e3


def main() -> None:
    mode = sdk.set_up()
    route, terms = Route("default", "noop"), Terms(3)
    producer: Any = NoProducer()

    def noop(number: int, text: str) -> None: ...

    task: Task[..., Any] = Task(noop, producer, route, terms)
    unasking = UnaskingTask(noop, producer, route, terms)
    with sdk.request(mode):
        enqueue = microseconds(lambda: task(1, "a")) - microseconds(lambda: unasking(1, "a"))
    plain: Any = NoConsumer(NoAttempt(HEADERS.get("sampled" if mode == "metrics" else mode)))
    url = "redis://127.0.0.1:6379"
    found = worker_set_up(parse(["-t", "tasks", "-r", url], "worker"), Settings(url))
    events = TaskEvents(Logger(ERROR, lambda fields: b"", lambda line: None))
    watch: Any = None

    def attempt(middleware: Sequence[Middleware]) -> Callable[[], object]:
        """One attempt as the loops make it."""
        record = RegisteredTask(task)
        record.prepare(watch, middleware)
        func, run, storage = record.func, record.run, dict[str, Any]()
        take, succeed = plain.take, Outcomes(plain, events, middleware).succeed

        def once() -> None:
            attempt = take()
            if run is None:
                func(*attempt.args)
            else:
                run(attempt, storage)
            succeed(attempt)

        return once

    worker = microseconds(attempt(found.middleware)) - microseconds(attempt(()))
    print(json.dumps({"enqueue": enqueue, "worker": worker}))


if __name__ == "__main__":
    FluxQueue("redis://127.0.0.1:1")  # what any application has loaded
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
