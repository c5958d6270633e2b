"""Very fast sync tasks run in one thread at a time; whatever is slow has others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from support.cluster import Cluster
from support.waiting import wait_until

APP = """
# Lets go of the GIL, as most tasks do.
nothing = os.open(os.devnull, os.O_WRONLY)

@fluxqueue.task()
def quick(number):
    os.write(nothing, b"x")

@fluxqueue.task()
async def quick_async(number):
    pass

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not os.path.exists("open"):
            time.sleep(0.01)
"""
MANY = 100_000


def wait_for_started(cluster: Cluster, numbers: Iterable[int]) -> None:
    wanted = set(numbers)
    wait_until(
        lambda: cluster.ledger.started() == wanted,
        what=lambda: f"the start of {wanted}; begun: {cluster.ledger.started()}",
    )


def wait_for_succeeded(cluster: Cluster, count: int) -> None:
    wait_until(
        lambda: cluster.stats().get("succeeded", 0) >= count, what=f"the end of {count} tasks"
    )


@pytest.mark.parametrize("concurrency", [1, 4])
def test_slow_tasks_behind_fast_ones_have_all_slots(
    tmp_path: Path, redis_url: str, concurrency: int
) -> None:
    slow = range(concurrency)
    with Cluster(tmp_path, redis_url, APP) as cluster:
        cluster.enqueue("quick", range(MANY))
        cluster.enqueue("hold", slow)
        cluster.start_worker(concurrency=concurrency)
        wait_for_started(cluster, slow)
        (tmp_path / "open").touch()
        wait_for_succeeded(cluster, MANY + concurrency)
        cluster.wait_until_settled()


def test_slow_tasks_among_fast_ones_hold_up_nobody(tmp_path: Path, redis_url: str) -> None:
    with Cluster(tmp_path, redis_url, APP) as cluster:
        for number in range(3):
            cluster.enqueue("quick", range(MANY // 3))
            cluster.enqueue("hold", [number])
        cluster.enqueue("quick", range(MANY // 3))
        cluster.start_worker(concurrency=4)
        wait_for_started(cluster, range(3))
        # In the one slot that is left.
        wait_for_succeeded(cluster, MANY // 3 * 4)
        (tmp_path / "open").touch()
        cluster.wait_until_ended(range(3))
        cluster.wait_until_settled()


def test_fast_async_tasks_take_no_slot_from_slow_sync_ones(tmp_path: Path, redis_url: str) -> None:
    with Cluster(tmp_path, redis_url, APP) as cluster:
        cluster.enqueue("quick", range(MANY))
        cluster.enqueue("quick_async", range(MANY))
        cluster.enqueue("hold", range(3))
        cluster.enqueue("quick_async", range(MANY))
        cluster.start_worker(concurrency=4)
        wait_for_started(cluster, range(3))
        wait_for_succeeded(cluster, 3 * MANY)
        (tmp_path / "open").touch()
        cluster.wait_until_ended(range(3))
        cluster.wait_until_settled()
