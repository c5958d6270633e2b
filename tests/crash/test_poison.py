"""Tasks that kill their process, among others that do no harm."""

from __future__ import annotations

import random
from pathlib import Path

from support.cluster import Cluster
from support.raw_messages import dead
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


def test_poison_is_dead_after_three_kills_and_innocents_end_well(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with Cluster(tmp_path, redis_url, APP, lease=LEASE) as cluster:
        numbers = [*INNOCENT, *POISON]
        chance.shuffle(numbers)
        for number in numbers:
            cluster.enqueue("poison" if number in POISON else "innocent", [number])
        cluster.start_scheduler()
        workers: list[WorkerProcess] = []

        def all_is_settled() -> bool:
            """Starts another worker for each that has died."""
            alive = [worker for worker in workers if worker.process.poll() is None]
            while len(alive) < 2:
                workers.append(cluster.start_worker(concurrency=4, log_level="warning"))
                alive.append(workers[-1])
            return not cluster.waiting()

        wait_until(all_is_settled, timeout=90, what=lambda: f"no task left: {cluster.waiting()}")
        reasons = dead(cluster.redis).values()
        assert [reason["reason"] for reason in reasons] == ["worker_lost"] * len(POISON)
        assert cluster.ledger.lost(INNOCENT) == set()
        kills = cluster.ledger.times_run()
        assert all(1 <= kills[number] <= 3 for number in POISON)
        # Each died by its own hand, and took no suspect beside it along.
        assert cluster.stats()["succeeded"] == len(INNOCENT)
        assert cluster.stats()["dead"] == len(POISON)
        # The main process dies at most twice by each; the third kill hits a child.
        assert len(workers) <= 2 + 2 * len(POISON)
