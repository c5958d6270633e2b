"""SIGTERM and SIGINT under load: no task is lost, runs twice or loses a retry."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
from support.raw_messages import delayed, pending
from support.system import System
from support.waiting import wait_until

APP = """
@fluxqueue.task_with_context()
def work(ctx: Context, number):
    assert ctx.metadata.retries == 0
    with ledger.run(number):
        time.sleep(0.02)

@fluxqueue.task_with_context()
async def work_async(ctx: Context, number):
    import asyncio
    assert ctx.metadata.retries == 0
    with ledger.run(number):
        await asyncio.sleep(0.02)

@fluxqueue.task()
def noop(number):
    with ledger.run(number):
        pass

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not os.path.exists("open"):
            time.sleep(0.01)
"""
TASKS = range(2000)
OPTIONS: dict[str, Any] = {"concurrency": 10, "log_level": "warning"}


def check_counts(system: System) -> None:
    """Checks that no task has lost a retry or a delivery, wherever it is."""
    parts = [*pending(system.redis), *(parts for parts, _ in delayed(system.redis))]
    assert {(p["retries"], p["deliveries"]) for p in parts} <= {(0, 0)}
    assert not {"retried", "rescued", "dead"} & system.stats().keys()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["work", "work_async"])
def test_a_worker_is_ended_under_load_and_another_goes_on(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str, number: signal.Signals
) -> None:
    """The lease is so long that a task runs elsewhere only if the worker releases it."""
    with System(tmp_path, redis_url, APP, lease=600) as system:
        system.start_scheduler()
        first, second = system.start_worker(**OPTIONS), system.start_worker(**OPTIONS)
        system.enqueue(name, TASKS)
        wait_until(lambda: any(run.pid == first.pid for run in system.ledger.runs()))
        system.wait_for_ends(chance.randrange(1, 1500))
        first.signal(number)
        assert first.wait() == 0
        system.wait_until_ended(TASKS)
        system.wait_until_settled()
        assert second.stop() == 0
        assert system.ledger.run_twice() == set()
        check_counts(system)
        assert system.stats() == {"succeeded": len(TASKS)}


@pytest.mark.parametrize("name", ["work", "noop", "work_async"])
def test_workers_are_ended_one_after_the_other_until_all_is_done(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str
) -> None:
    """Including fast tasks, of which a worker claims many ahead."""
    tasks = range(60_000 if name == "noop" else 2000)
    with System(tmp_path, redis_url, APP, lease=600) as system:
        system.start_scheduler()
        system.enqueue(name, tasks)
        for _ in range(3):
            more = chance.randrange(1, len(tasks) // 5)
            worker = system.start_worker(**OPTIONS)
            # A fast worker may have run all tasks by then.
            system.wait_for_ends(min(len(tasks), len(system.ledger.ended()) + more))
            assert worker.stop() == 0
            assert len(system.ledger.ended()) == len(system.ledger.started())
            left = len(system.ledger.lost(tasks))
            assert system.waiting() == ({"pending": left} if left else {})
            check_counts(system)
            if not left:
                break  # no task would show that the next worker is ready for a signal
        system.start_worker(**OPTIONS)
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert system.stats() == {"succeeded": len(tasks)}


@pytest.mark.parametrize("how", ["deadline", "second signal"])
def test_a_task_that_does_not_end_runs_elsewhere_without_a_count(
    tmp_path: Path, redis_url: str, how: str
) -> None:
    timeout = 0.3 if how == "deadline" else 600
    running, waiting = range(4), range(4, 12)
    with System(tmp_path, redis_url, APP, lease=600) as system:
        system.start_scheduler()
        first = system.start_worker(drain_timeout=timeout)
        system.enqueue("hold", running)
        wait_until(lambda: system.ledger.started() == set(running))
        system.enqueue("hold", waiting)
        first.signal(signal.SIGTERM)
        first.wait_for("worker.draining")
        if how == "second signal":
            assert first.process.poll() is None
            first.signal(signal.SIGTERM)
        assert first.wait() == 0
        assert system.waiting() == {"pending": 12}
        check_counts(system)
        (tmp_path / "open").touch()
        system.start_worker()
        system.wait_until_ended([*running, *waiting])
        system.wait_until_settled()
        assert system.ledger.run_twice() == set(running)
        check_counts(system)
        assert system.stats() == {"succeeded": 12}


def test_sigquit_under_load_shows_stacks_and_changes_nothing(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    tasks = range(500)
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker(**OPTIONS)
        system.enqueue("work", tasks)
        for _ in range(3):
            system.wait_for_ends(len(system.ledger.ended()) + chance.randrange(1, 100))
            worker.signal(signal.SIGQUIT)
        worker.wait_for_output("Current thread")
        worker.wait_for("task.running")
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0
