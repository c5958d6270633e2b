"""Workers declare the limits of their code, and the newest code wins."""

from __future__ import annotations

import threading
import time
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import key
from fluxqueue_core.limits import limit_digest
from fluxqueue_core.service.log import get_logger
from fluxqueue_worker.limit_declarations import LimitDeclarations, QueueLimit
from fluxqueue_worker.task_loader import served
from support.waiting import wait_until, wait_until_past

INTERVAL, GRACE = 0.05, 1.0


class Release:
    """The declarations of a worker of one release of the application."""

    def __init__(self, redis_url: str, concurrency: int, logger: Any = None) -> None:
        app = FluxQueue(redis_url)
        limit = app.limit("work", concurrency=concurrency)
        self._ended = threading.Event()
        declared = [QueueLimit(app.broker, "default", limit)]
        self._thread = LimitDeclarations(
            declared, logger or get_logger(), self._ended, INTERVAL, GRACE
        )
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def concurrency(redis: Any) -> int:
    """The declared number that counts; 0: there is none."""
    raw = redis.hget(key("limits:rules", "default"), "d" + limit_digest("work"))
    return 0 if raw is None else int(raw.partition(b":")[0])


def test_the_newer_of_two_releases_counts_until_its_workers_are_gone(
    redis: Any, redis_url: str
) -> None:
    old = Release(redis_url, 1)
    wait_until(lambda: concurrency(redis) == 1)
    new = Release(redis_url, 2)
    try:
        wait_until(lambda: concurrency(redis) == 2)
        end = time.monotonic() + 2 * GRACE
        while time.monotonic() < end:
            assert concurrency(redis) == 2  # it does not flap
            time.sleep(0.01)
        # An old worker that starts again changes nothing.
        old.end()
        old = Release(redis_url, 1)
        wait_until_past(time.monotonic() + GRACE / 2)
        assert concurrency(redis) == 2
    finally:
        new.end()
    # A roll back.
    wait_until(lambda: concurrency(redis) == 1)
    old.end()


def test_a_worker_declares_each_limit_of_its_queues_once() -> None:
    app = FluxQueue()
    shared = app.limit("shared", rate="1/s")
    tasks = [
        app.task(name="a", limit=shared)(lambda: None),
        app.task(name="b", limit=shared)(lambda: None),
        app.task(name="c", concurrency=2)(lambda: None),
        app.task(name="d", queue="other", limit=shared)(lambda: None),
        app.task(name="e", max_per_worker=2)(lambda: None),
    ]

    def declared(*queues: str) -> list[tuple[str, str, str]]:
        found = served(tasks, queues, "app").limits
        return sorted((each.queue, each.limit.name, str(each.limit.rules)) for each in found)

    assert declared("default") == [("default", "c", "2 at once"), ("default", "shared", "1/s")]
    assert declared("other") == [("other", "shared", "1/s")]
    assert len(declared("default", "other")) == 3


class Lines:
    """A logger that keeps the events of its lines."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def error(self, event: str, **fields: object) -> None:
        self.events.append(event)

    info = error


def test_a_refused_declaration_is_logged_once_and_tried_again(redis: Any, redis_url: str) -> None:
    redis.set(key("limits:rules", "default"), "another type")
    lines = Lines()
    release = Release(redis_url, 1, lines)
    try:
        wait_until(lambda: lines.events)
        redis.delete(key("limits:rules", "default"))
        wait_until(lambda: concurrency(redis) == 1)
        wait_until(lambda: len(lines.events) == 2)
    finally:
        release.end()
    assert lines.events == ["limit.not_declared", "limit.declared"]
