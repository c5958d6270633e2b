"""`kill -9` of a scheduler: no retry is lost, and with two schedulers no retry is late."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from support.lateness import machine
from support.system import System
from support.waiting import wait_until, wait_until_past

DELAY = 2.0
APP = f"""
@fluxqueue.task_with_context(retry_delay={DELAY})
def fails_once(ctx: Context, number):
    with ledger.run(number):
        time.sleep(0.001)
        if ctx.metadata.retries == 0:
            raise ValueError("once")

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        time.sleep(0.5)
"""
TASKS = range(500)
OPTIONS: dict[str, Any] = {"concurrency": 10, "log_level": "error"}


def kill_in_the_middle(system: System, chance: random.Random, pid: int) -> None:
    """Sends SIGKILL when some retries have run and most still wait."""
    system.enqueue("fails_once", TASKS)
    system.wait_for_ends(chance.randrange(1, 350))
    os.kill(pid, signal.SIGKILL)


def check_each_ran_twice(system: System) -> None:
    system.wait_until_settled()
    assert set(system.ledger.times_run().values()) == {2}
    assert system.stats() == {"retried": 500, "succeeded": 500}


def test_a_killed_scheduler_loses_no_retry(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=3) as system:
        scheduler = system.start_scheduler()
        system.start_worker(**OPTIONS)
        kill_in_the_middle(system, chance, scheduler.pid)
        scheduler.process.wait()
        assert len(system.ledger.ended()) < len(TASKS), "it was killed too late"
        system.start_scheduler()
        system.wait_until_ended(TASKS)
        check_each_ran_twice(system)


def test_no_retry_is_late_if_one_of_two_schedulers_is_killed(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=10) as system:
        schedulers = [system.start_scheduler() for _ in range(2)]
        for scheduler in schedulers:
            scheduler.wait_for("scheduler.started")
        system.start_worker(**OPTIONS)
        kill_in_the_middle(system, chance, chance.choice(schedulers).pid)
        system.wait_until_ended(TASKS)
        check_each_ran_twice(system)
        first: dict[int, float] = {}
        for run in system.ledger.runs():
            waited = run.start - first.setdefault(run.number, run.start)
            # Far less than the lease, which a rescue would have to wait for.
            assert waited < DELAY + 2 + machine().allowance(run.start - waited, run.start)


def test_a_task_is_rescued_once_if_a_rescuing_scheduler_is_killed(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """Both see the lost worker; each of its tasks is rescued once, and no task is lost."""
    tasks = range(40)
    with System(tmp_path, redis_url, APP, lease=2) as system:
        schedulers = [system.start_scheduler() for _ in range(2)]
        worker = system.start_worker(concurrency=40)
        system.enqueue("hold", tasks)
        wait_until(lambda: len(system.ledger.started()) == len(tasks))
        worker.kill()
        # About the moment when they see that its lease has ended.
        wait_until_past(time.monotonic() + 2 - chance.random() * 0.5)
        chance.choice(schedulers).kill()
        system.start_worker(concurrency=40)
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert set(system.ledger.times_run().values()) == {2}
        assert system.stats() == {"rescued": len(tasks), "succeeded": len(tasks)}
