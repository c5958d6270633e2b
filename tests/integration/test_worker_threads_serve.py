"""Very fast sync tasks run in one thread at a time. Slow tasks run in other threads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from support.system import System
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
MANY = 30_000


def wait_for_started(system: System, numbers: Iterable[int]) -> None:
    wanted = set(numbers)
    wait_until(
        lambda: system.ledger.started() == wanted,
        what=lambda: f"the start of {wanted}; begun: {system.ledger.started()}",
    )


def wait_for_succeeded(system: System, count: int) -> None:
    wait_until(
        lambda: system.stats().get("succeeded", 0) >= count, what=f"the end of {count} tasks"
    )


@pytest.mark.parametrize("concurrency", [1, 4])
def test_slow_tasks_behind_fast_ones_have_all_slots(
    tmp_path: Path, redis_url: str, concurrency: int
) -> None:
    slow = range(concurrency)
    with System(tmp_path, redis_url, APP) as system:
        system.enqueue("quick", range(MANY))
        system.enqueue("hold", slow)
        system.start_worker(concurrency=concurrency)
        wait_for_started(system, slow)
        (tmp_path / "open").touch()
        wait_for_succeeded(system, MANY + concurrency)
        system.wait_until_settled()


def test_slow_tasks_among_fast_ones_delay_no_other(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP) as system:
        for number in range(3):
            system.enqueue("quick", range(MANY // 3))
            system.enqueue("hold", [number])
        system.enqueue("quick", range(MANY // 3))
        system.start_worker(concurrency=4)
        wait_for_started(system, range(3))
        # In the one slot that is left.
        wait_for_succeeded(system, MANY // 3 * 4)
        (tmp_path / "open").touch()
        system.wait_until_ended(range(3))
        system.wait_until_settled()


def test_fast_async_tasks_take_no_slot_from_slow_sync_ones(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.enqueue("quick", range(MANY))
        system.enqueue("quick_async", range(MANY))
        system.enqueue("hold", range(3))
        system.enqueue("quick_async", range(MANY))
        system.start_worker(concurrency=4)
        wait_for_started(system, range(3))
        wait_for_succeeded(system, 3 * MANY)
        (tmp_path / "open").touch()
        system.wait_until_ended(range(3))
        system.wait_until_settled()
