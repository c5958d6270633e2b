"""The declarations of workers: what happens to a periodic task when its code changes or goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import Settings, key
from fluxqueue_core.service.log import get_logger
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.service import Scheduler
from fluxqueue_worker.periodic import Declarations
from support.waiting import wait_until, wait_until_past
from support.worker_process import WorkerProcess

# Seconds. The real ones are 300 and 30.
GRACE, INTERVAL = 3.0, 0.1

SERVES = """
@fluxqueue.task()
def other(): ...
"""


class Release:
    """The declarations of a worker with one release of the code."""

    def __init__(self, url: str, every: int) -> None:
        app = FluxQueue(url)

        @app.periodic(every=every)
        @app.task()
        def work() -> None: ...

        self._ended = threading.Event()
        self._thread = Declarations(work.periodic, get_logger(), self._ended, INTERVAL, GRACE)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def scheduler(redis_url: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(Settings(redis_url), Options(periodic_grace=GRACE))
    scheduler.start()
    yield scheduler
    scheduler.stop()


def interval(redis: Any) -> int:
    """The interval that counts, in seconds; 0: there is no periodic task."""
    raw = redis.hget(key("periodic", "default"), "work")
    if raw is None:
        return 0
    return int(raw.partition(b'"every":')[2].partition(b",")[0]) // 1_000


def test_a_declaration_stays_while_a_worker_makes_it_and_stops_then(
    redis: Any, redis_url: str, tmp_path: Path, scheduler: Scheduler
) -> None:
    with WorkerProcess(tmp_path, redis_url, SERVES) as worker:
        worker.wait_for("worker.connected")
        release = Release(redis_url, 60)
        try:
            wait_until(lambda: interval(redis) == 60)
            wait_until_past(time.monotonic() + 2 * GRACE)
            assert interval(redis) == 60
        finally:
            release.end()
        wait_until(lambda: interval(redis) == 0)


def test_without_any_worker_a_declaration_stays(
    redis: Any, redis_url: str, scheduler: Scheduler
) -> None:
    release = Release(redis_url, 60)
    wait_until(lambda: interval(redis) == 60)
    release.end()
    wait_until_past(time.monotonic() + 3 * GRACE)
    assert interval(redis) == 60


def test_the_newer_of_two_releases_counts_until_its_workers_are_gone(
    redis: Any, redis_url: str
) -> None:
    old = Release(redis_url, 60)
    wait_until(lambda: interval(redis) == 60)
    new = Release(redis_url, 30)
    try:
        wait_until(lambda: interval(redis) == 30)
        end = time.monotonic() + 2 * GRACE
        while time.monotonic() < end:
            assert interval(redis) == 30  # it does not flap
            time.sleep(0.01)
        # An old worker that starts again changes nothing.
        old.end()
        old = Release(redis_url, 60)
        wait_until_past(time.monotonic() + GRACE / 2)
        assert interval(redis) == 30
    finally:
        new.end()
    # A roll back.
    wait_until(lambda: interval(redis) == 60)
    old.end()
