"""A consumer without Redis: it hands out attempts that a test puts in, and keeps their
outcomes. It has the methods and the rules of `fluxqueue_core.Consumer`: an attempt is settled
once, and its outcome is void if the lease was lost."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .waiting import wait_on

_numbers = itertools.count()


@dataclass(eq=False)
class FakeAttempt:
    """The attributes of `fluxqueue_core.Attempt`."""

    task: Any
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] | None = None
    retries: int = 0
    max_retries: int = 3
    name: str = "task"
    queue: str = "default"
    deliveries: int = 0
    snoozes: int = 0
    releases: int = 0
    enqueued_at: int = 1_700_000_000_123
    headers: dict[str, str] | None = None
    settled: bool = False
    task_id: str = field(default_factory=lambda: f"id-{next(_numbers)}")

    def trace_headers(self) -> tuple[str | None, ...] | None:
        names = ("traceparent", "tracestate", "baggage")
        return None if self.headers is None else tuple(map(self.headers.get, names))

    def expire(self) -> bool:
        return False


class FakeConsumer:
    """See the module's text.

    Attributes:
        outcomes: per settled attempt (the attempt, what, its details), in order.
        lost: attempts whose lease was lost.
    """

    def __init__(self, concurrency: int = 4) -> None:
        self.outcomes: list[tuple[Any, str, tuple[Any, ...]]] = []
        self.lost: set[Any] = set()
        self.threads = 0
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._sync: deque[Any] = deque()
        self._async: deque[Any] = deque()
        self._running: set[Any] = set()
        self._settled: set[Any] = set()
        self._draining = False
        self.async_fd, self._async_write = os.pipe()
        self.event_fd, self._event_write = os.pipe()
        os.set_blocking(self.async_fd, False)
        os.set_blocking(self.event_fd, False)
        self._events: list[dict[str, Any]] = []

    def close(self) -> None:
        for descriptor in (self.async_fd, self._async_write, self.event_fd, self._event_write):
            os.close(descriptor)

    # Called by a test.

    def put(self, *attempts: Any) -> None:
        with self._changed:
            for attempt in attempts:
                if attempt.task.is_async:
                    self._async.append(attempt)
                    os.write(self._async_write, b"x")
                else:
                    self._sync.append(attempt)
            self._changed.notify_all()

    def emit(self, **event: Any) -> None:
        self._events.append(event)
        os.write(self._event_write, b"x")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        wait_on(self._changed, condition, what="the worker's call")

    def wait_settled(self, count: int) -> None:
        self.wait_for(lambda: len(self.outcomes) >= count)

    def outcome(self, attempt: Any) -> tuple[str, tuple[Any, ...]]:
        (found,) = [(what, rest) for settled, what, rest in self.outcomes if settled is attempt]
        return found

    # Called by the worker.

    def start(self) -> None: ...

    def take(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._sync or self._draining)
            if self._draining:
                return None
            return self._begin(self._sync.popleft())

    def wants_thread(self) -> bool:
        with self._changed:
            if not self._sync or self.threads + 1 >= self._concurrency:
                return False
            self.threads += 1
            return True

    def give_up_threads(self, count: int) -> None:
        with self._changed:
            self.threads -= count

    def take_async(self) -> Any:
        with self._changed:
            if not self._async:
                return None
            os.read(self.async_fd, 1)
            return self._begin(self._async.popleft())

    def events(self) -> list[dict[str, Any]]:
        events, self._events = self._events, []
        if events:
            os.read(self.event_fd, len(events))
        return events

    def succeed(self, attempt: Any) -> bool:
        return self._settle(attempt, "succeed")

    def retry(self, attempt: Any, delay: float) -> bool:
        return self._settle(attempt, "retry", delay)

    def snooze(self, attempt: Any, delay: float) -> bool:
        return self._settle(attempt, "snooze", delay)

    def make_dead(
        self, attempt: Any, reason: str, error: str, traceback: str | None = None
    ) -> bool:
        return self._settle(attempt, "make_dead", reason, error, traceback)

    def cancel(self, attempt: Any) -> bool:
        return self._settle(attempt, "cancel")

    def release(self, attempt: Any) -> bool:
        return self._settle(attempt, "release")

    def drain(self) -> None:
        with self._changed:
            self._draining = True
            self._sync.clear()
            self._async.clear()
            self._changed.notify_all()

    def release_running(self) -> None:
        with self._changed:
            self.lost |= self._running
            self._running.clear()

    @property
    def drained(self) -> bool:
        return self._draining and not self._running

    @property
    def running(self) -> int:
        return len(self._running)

    def stop(self) -> None:
        self.drain()

    def _begin(self, attempt: Any) -> Any:
        self._running.add(attempt)
        self._changed.notify_all()
        return attempt

    def _settle(self, attempt: Any, what: str, *details: Any) -> bool:
        with self._changed:
            if attempt in self._settled:
                raise RuntimeError("the attempt is settled already")
            self._settled.add(attempt)
            attempt.settled = True
            self._running.discard(attempt)
            self.outcomes.append((attempt, what, details))
            self._changed.notify_all()
            return attempt not in self.lost
