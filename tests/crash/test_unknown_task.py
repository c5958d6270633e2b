"""A task that a worker does not know, because of a rolling deployment or a mistake."""

from __future__ import annotations

from pathlib import Path

from support.raw_messages import dead, delayed, pending
from support.system import System

OLD = """
@fluxqueue.task()
def old(number):
    with ledger.run(number):
        pass
"""
NEW = """
@fluxqueue.task_with_context()
def new(ctx: Context, number):
    assert ctx.metadata.retries == 0
    with ledger.run(number):
        pass
"""


def test_during_the_grace_period_a_task_waits_for_a_worker_that_knows_it(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, OLD) as system:
        system.start_scheduler()
        worker = system.start_worker(unknown_task_grace=12)
        worker.wait_for("worker.connected")
        system.enqueue("new", range(20))
        system.enqueue("old", range(100, 120))
        worker.wait_for("task.unknown", count=40)
        system.wait_until_ended(range(100, 120))
        waiting = [*pending(system.redis), *(parts for parts, _ in delayed(system.redis))]
        assert {(p["retries"], p["deliveries"]) for p in waiting} <= {(0, 0)}
        other = system.start_worker(NEW, unknown_task_grace=12)
        system.wait_until_ended(range(20))
        # Each worker releases the tasks that it does not know, and no task is lost.
        system.enqueue("old", range(120, 140))
        system.wait_until_ended(range(120, 140))
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert system.stats() == {"succeeded": 60}
        assert worker.stop() == 0 and other.stop() == 0


def test_after_the_grace_period_unknown_tasks_are_parked_and_others_run(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, OLD) as system:
        system.start_scheduler()
        worker = system.start_worker(unknown_task_grace=1)
        system.enqueue("new", range(20))
        system.enqueue("old", range(100, 120))
        system.wait_until_ended(range(100, 120))
        worker.wait_for("task.parked", count=20, reason="unknown_task", name="new")
        system.wait_until_settled()
        reasons = dead(system.redis).values()
        assert [reason["reason"] for reason in reasons] == ["unknown_task"] * 20
        assert all("'new'" in r["error"] or '"new"' in r["error"] for r in reasons)
        assert worker.stop() == 0
