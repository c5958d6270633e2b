"""`kill -9` of a worker: its tasks run elsewhere, and no other task runs twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from support import apps
from support.system import System
from support.waiting import wait_until

APP = apps.work(0.02)
TASKS = range(2000)
SLOTS = 10


@pytest.mark.parametrize(
    ("name", "lease"), [pytest.param("work", None, marks=pytest.mark.versions), ("work_async", 3.0)]
)
def test_every_task_runs_and_only_those_in_flight_run_twice(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str, lease: float | None
) -> None:
    """With the default lease of 10 seconds, and with a short one."""
    with System(tmp_path, redis_url, APP, lease=lease) as system:
        system.start_scheduler().wait_for("scheduler.started")
        options: dict[str, Any] = {"concurrency": SLOTS, "log_level": "warning"}
        workers = [system.start_worker(**options) for _ in range(2)]
        system.enqueue(name, TASKS)
        pids = {worker.pid for worker in workers}
        wait_until(lambda: {run.pid for run in system.ledger.runs()} == pids)

        system.wait_for_ends(chance.randrange(50, 1500))
        victim = chance.choice(workers)
        in_flight = system.kill_running(victim)
        system.start_worker(**options)

        left = len(system.ledger.lost(TASKS)) * 0.02 / SLOTS
        system.wait_until_ended(TASKS, timeout=(lease or 10) + 5 + left)
        system.wait_until_settled()
        assert system.ledger.run_twice() <= in_flight
        assert max(system.ledger.times_run().values()) <= 2
        stats = system.stats()
        # Redis counts each task once, and rescues no more tasks than were held.
        assert stats["succeeded"] == len(TASKS)
        assert "dead" not in stats and "retried" not in stats
        assert len(system.ledger.run_twice()) <= stats["rescued"]
