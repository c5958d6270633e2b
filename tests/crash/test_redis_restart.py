"""Redis is killed or stopped under load: nothing is lost and nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from support import apps
from support.system import System
from support.waiting import wait_until, wait_until_past

APP = apps.work(0.02)
LEASE = 2.0
TASKS = range(3000)
OPTIONS: dict[str, Any] = {"concurrency": 10, "log_level": "warning"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A separate Redis that writes every command to disk before it answers."""
    with EmbeddedRedis(tmp_path / "redis", appendfsync="always") as server:
        yield server


def wait_for_a_start(system: System, moment: float) -> None:
    """Checks that the workers go on within two seconds."""
    wait_until(
        lambda: any(run.start > moment for run in system.ledger.runs()),
        timeout=2.0,
        what="a task that begins after the return of Redis",
    )


def check_all_ran_once(system: System) -> None:
    system.wait_until_ended(TASKS)
    system.wait_until_settled()
    assert system.ledger.run_twice() == set()
    assert system.stats() == {"succeeded": len(TASKS)}


@pytest.mark.parametrize("name", [pytest.param("work", marks=pytest.mark.versions), "work_async"])
def test_each_task_runs_once_although_redis_is_killed_three_times(
    tmp_path: Path, server: EmbeddedRedis, chance: random.Random, name: str
) -> None:
    """Redis is down for a moment, and for longer than the lease."""
    with System(tmp_path, server.url, APP, lease=LEASE) as system:
        system.start_scheduler()
        for _ in range(2):
            system.start_worker(**OPTIONS)
        system.enqueue(name, TASKS)
        for away in (0.0, 1.5 * LEASE, 0.2):
            system.wait_for_ends(len(system.ledger.ended()) + chance.randrange(50, 700))
            server.kill()
            wait_until_past(time.monotonic() + away)
            server.start()
            wait_for_a_start(system, time.monotonic())
        check_all_ran_once(system)


def test_each_task_runs_once_although_redis_hangs_longer_than_the_lease(
    tmp_path: Path, server: EmbeddedRedis, chance: random.Random
) -> None:
    with System(tmp_path, server.url, APP, lease=LEASE) as system:
        schedulers = [system.start_scheduler() for _ in range(2)]
        workers = [system.start_worker(**OPTIONS) for _ in range(2)]
        system.enqueue("work", TASKS)
        for _ in range(2):
            system.wait_for_ends(len(system.ledger.ended()) + chance.randrange(50, 900))
            os.kill(server.pid, signal.SIGSTOP)
            wait_until_past(time.monotonic() + 1.5 * LEASE)
            os.kill(server.pid, signal.SIGCONT)
            wait_for_a_start(system, time.monotonic())
        check_all_ran_once(system)
        for process in (*schedulers, *workers):
            assert process.stop() == 0


def test_workers_and_scheduler_may_start_before_redis(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    url = server.url
    server.kill()
    with System(tmp_path, url, APP, lease=LEASE) as system:
        system.start_scheduler()
        worker = system.start_worker()
        worker.wait_for("worker.disconnected")
        server.start()
        system.enqueue("work", range(10))
        system.wait_until_ended(range(10))
        system.wait_until_settled()
        assert worker.stop() == 0
