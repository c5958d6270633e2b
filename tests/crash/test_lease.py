"""A worker holds its lease as long as its process lives, whatever its tasks do."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.system import System
from support.waiting import wait_until

LEASE = 1.5
APP = """
import asyncio, ctypes

@fluxqueue.task()
def long(number):
    with ledger.run(number):
        time.sleep(5)

@fluxqueue.task()
async def long_async(number):
    with ledger.run(number):
        await asyncio.sleep(5)

@fluxqueue.task()
async def blocks_the_loop(number):
    with ledger.run(number):
        time.sleep(5)

@fluxqueue.task()
def holds_the_gil(number):
    with ledger.run(number):
        # PyDLL calls a C function without releasing the GIL.
        ctypes.PyDLL(None).sleep(5)
"""


@pytest.mark.parametrize("name", ["long", "long_async", "blocks_the_loop", "holds_the_gil"])
def test_the_lease_holds_during_a_task_longer_than_three_leases(
    tmp_path: Path, redis_url: str, name: str
) -> None:
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        system.start_scheduler()
        first = system.start_worker()
        system.enqueue(name, range(1))
        wait_until(system.ledger.started)
        # It would run any task that the first worker loses.
        second = system.start_worker()
        second.wait_for("worker.connected")
        system.wait_until_ended(range(1))
        system.wait_until_settled()
        (run,) = system.ledger.runs()
        assert run.end is not None and run.end - run.start > 3 * LEASE
        assert run.pid == first.pid
        assert system.stats() == {"succeeded": 1}
        # On a busy machine Redis may seem silent for a moment: the lease holds then as well.
        assert first.named("worker.lease_lost") == []
        assert first.stop() == 0


def test_the_lease_holds_to_the_end_of_a_drain(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP, lease=LEASE) as system:
        system.start_scheduler()
        first = system.start_worker()
        system.enqueue("long", range(3))
        wait_until(lambda: len(system.ledger.started()) == 3)
        system.start_worker().wait_for("worker.connected")
        assert first.stop() == 0
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert {run.pid for run in system.ledger.runs() if run.end} == {first.pid}
        assert system.stats() == {"succeeded": 3}
