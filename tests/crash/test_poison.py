"""Tasks that kill their process, among others that do no harm."""

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
def test_poison_is_dead_after_so_many_kills_and_innocents_end_well(
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
        # The lost worker of a count may have claimed it without having begun it.
        assert all(1 <= kills[number] <= most for number in POISON)
        # Each died by its own hand, and took no suspect beside it along.
        assert system.stats()["succeeded"] == len(INNOCENT)
        assert system.stats()["dead"] == len(POISON)
        # The main process dies at most twice by each; later kills hit a child.
        assert len(workers) <= 2 + 2 * len(POISON)


def test_with_a_count_of_one_the_first_kill_is_the_last(tmp_path: Path, redis_url: str) -> None:
    """Also for what the worker merely held: nothing is given a second chance."""
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
