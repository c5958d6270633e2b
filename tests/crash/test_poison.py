"""Tasks that kill their process, among harmless tasks."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from support.raw_messages import dead
from support.system import System
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import signal

@fluxqueue.task()
def poison(number):
    with ledger.run(number):
        os.kill(os.getpid(), signal.SIGKILL)

@fluxqueue.task()
def innocent(number):
    with ledger.run(number):
        time.sleep(0.02)
"""
LEASE = 1.5
INNOCENT = range(500)
POISON = range(1000, 1003)


@pytest.mark.parametrize("most", [3, 5])
def test_poison_dies_after_max_deliveries_and_innocent_tasks_end_well(
    tmp_path: Path, redis_url: str, chance: random.Random, most: int
) -> None:
    # Rule 12.
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        numbers = [*INNOCENT, *POISON]
        chance.shuffle(numbers)
        for number in numbers:
            system.enqueue("poison" if number in POISON else "innocent", [number])
        if most == 3:  # the default
            system.start_scheduler()
        else:
            system.start_scheduler(max_deliveries=most)
        workers: list[WorkerProcess] = []

        def all_is_settled() -> bool:
            """Starts another worker for each that has died."""
            alive = [worker for worker in workers if worker.process.poll() is None]
            while len(alive) < 2:
                workers.append(system.start_worker(concurrency=4, log_level="warning"))
                alive.append(workers[-1])
            return not system.waiting()

        wait_until(all_is_settled, timeout=120, what=lambda: f"no task left: {system.waiting()}")
        reasons = dead(system.redis).values()
        assert [reason["reason"] for reason in reasons] == ["worker_lost"] * len(POISON)
        assert system.ledger.lost(INNOCENT) == set()
        kills = system.ledger.times_run()
        # A lost worker may have claimed it and not begun it: that counts as well.
        assert all(1 <= kills[number] <= most for number in POISON)
        # No poison took another suspect along.
        assert system.stats()["succeeded"] == len(INNOCENT)
        assert system.stats()["dead"] == len(POISON)
        # Each kills the main process at most twice; later kills hit a child process.
        assert len(workers) <= 2 + 2 * len(POISON)


def test_with_one_delivery_the_first_kill_is_the_last(tmp_path: Path, redis_url: str) -> None:
    """Including for tasks that the worker held and had not begun."""
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        system.start_scheduler(max_deliveries=1)
        system.enqueue("poison", POISON)
        system.enqueue("innocent", INNOCENT)
        first = system.start_worker(concurrency=1, log_level="warning")
        assert first.wait() == -signal.SIGKILL
        held = system.waiting()
        claimed = sum(count for name, count in held.items() if "claimed" in name or "inbox" in name)
        assert claimed >= 1
        wait_until(lambda: len(dead(system.redis)) == claimed)
        assert {reason["reason"] for reason in dead(system.redis).values()} == {"worker_lost"}
        assert max(system.ledger.times_run().values()) == 1
        assert "suspects" not in system.waiting()
