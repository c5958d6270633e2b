"""A worker that is stopped for longer than its lease, and then continued."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from support.system import System
from support.waiting import wait_until, wait_until_past

LEASE = 2.0
SLOTS = 4
# The first process that begins this task stops itself.
STOPS = 2_000
APP = """
import asyncio
import signal

def may_end():
    return os.path.exists(f"open-{os.getpid()}")

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not may_end():
            time.sleep(0.01)

@fluxqueue.task()
async def hold_async(number):
    with ledger.run(number):
        while not may_end():
            await asyncio.sleep(0.01)

@fluxqueue.task()
def fast(number, stops):
    with ledger.run(number):
        if number == stops and not os.path.exists("stopped"):
            with open("stopped", "x"):
                os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("ends", ["at once", "late"])
@pytest.mark.parametrize("name", ["hold", "hold_async"])
def test_tasks_of_a_stopped_worker_run_elsewhere_and_it_settles_none(
    tmp_path: Path, redis_url: str, name: str, ends: str
) -> None:
    """Its tasks end before or after it learns that its lease is lost."""
    tasks, later = range(SLOTS), range(100, 100 + SLOTS)
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        system.start_scheduler()
        stopped = system.start_worker(concurrency=SLOTS)
        first_id = stopped.wait_for("worker.connected")["consumer"]
        system.enqueue(name, tasks)
        wait_until(lambda: system.ledger.started() == set(tasks))
        stopped.signal(signal.SIGSTOP)
        since = time.monotonic()
        other = system.start_worker(concurrency=SLOTS)
        (tmp_path / f"open-{other.pid}").touch()
        system.wait_until_ended(tasks)
        wait_until_past(since + 2 * LEASE)
        other.wait_for("task.done", count=SLOTS)
        system.wait_until_settled()
        # The other worker is gone before the first continues: only the first can run
        # a task from now on.
        assert other.stop() == 0

        if ends == "at once":
            (tmp_path / f"open-{stopped.pid}").touch()
        stopped.signal(signal.SIGCONT)
        continued = time.monotonic()
        assert stopped.wait_for("worker.lease_lost")["consumer"] == first_id
        if ends == "late":
            (tmp_path / f"open-{stopped.pid}").touch()
            stopped.wait_for("task.lost_lease", count=SLOTS)
            assert stopped.named("task.done") == []
        wait_until(lambda: all(run.end is not None for run in system.ledger.runs()))
        # The log says of each outcome that it is void: the task's own line, or one after
        # it when the loss is known.
        void = ("task.lost_lease", "task.outcome_void")
        wait_until(lambda: sum(len(stopped.named(name)) for name in void) == SLOTS)
        assert stopped.wait_for("worker.connected", count=2)["consumer"] != first_id

        system.enqueue(name, later)
        system.wait_until_ended(later)
        system.wait_until_settled()
        assert stopped.stop() == 0
        begun = {run.number for run in system.ledger.runs() if run.start > continued}
        assert begun == set(later)
        # Only its outcomes under the new id have counted.
        assert system.stats() == {"rescued": SLOTS, "succeeded": 2 * SLOTS}


def test_tasks_claimed_ahead_do_not_begin_after_the_lease_is_lost(
    tmp_path: Path, redis_url: str
) -> None:
    # Rule 7.
    """The worker is stopped among fast tasks, when it holds many that have not begun."""
    tasks = range(40_000)
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        system.start_scheduler()
        stopped = system.start_worker(concurrency=SLOTS, log_level="warning")
        system.enqueue("fast", tasks, STOPS)
        wait_until(stopped.is_stopped, what="the stop of the worker")
        moment = time.monotonic()
        (claimed,) = [n for place, n in system.waiting().items() if "claimed" in place]
        assert claimed > 10 * SLOTS, "nothing was claimed ahead"
        other = system.start_worker(concurrency=SLOTS, log_level="warning")
        wait_until_past(moment + 2 * LEASE)
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        continued = time.monotonic()
        stopped.signal(signal.SIGCONT)
        stopped.wait_for("worker.lease_lost")
        assert other.stop() == 0
        assert stopped.stop() == 0
        # A thread may have been stopped after it took a task and before the first line.
        begun = [run for run in system.ledger.runs() if run.start > continued]
        assert len(begun) <= SLOTS
        assert system.stats() == {"rescued": claimed, "succeeded": len(tasks)}
