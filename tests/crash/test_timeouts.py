"""Tasks that take about as long as their timeout: each ends once, in time or timed out,
and the worker goes on as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from support.system import System
from support.waiting import wait_until

APP = """
TIMEOUT = 0.01

def duration(number):
    # Between nothing and a fifth more than the timeout.
    return TIMEOUT * (number % 40) / 32

@fluxqueue.task(timeout=TIMEOUT, max_retries=0)
def spin(number):
    with ledger.run(number):
        end = time.perf_counter() + duration(number)
        while time.perf_counter() < end:
            pass

@fluxqueue.task(timeout=TIMEOUT, max_retries=0)
def sleep(number):
    with ledger.run(number):
        time.sleep(duration(number))

@fluxqueue.task(timeout=TIMEOUT, max_retries=0)
async def sleep_async(number):
    import asyncio
    with ledger.run(number):
        await asyncio.sleep(duration(number))

@fluxqueue.task()
def after(number):
    with ledger.run(number):
        pass

@fluxqueue.task()
async def after_async(number):
    with ledger.run(number):
        pass
"""
TASKS = range(1000)
AFTER = range(10_000, 10_200)


@pytest.mark.parametrize("name", ["spin", "sleep", "sleep_async"])
def test_each_ends_once_done_or_timed_out(tmp_path: Path, redis_url: str, name: str) -> None:
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker(concurrency=4)
        # The message says that a failure is not tried again.
        task = FluxQueue(redis_url).task(name=name, max_retries=0)(lambda number: None)
        task.enqueue_many((number,) for number in TASKS)
        system.wait_until_settled(timeout=100)

        def ends() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            return worker.named("task.done", name=name), worker.named("task.dead", name=name)

        # The worker logs an outcome a moment after sending it.
        wait_until(lambda: sum(map(len, ends())) >= len(TASKS))
        done, died = ends()
        ids = [line["task_id"] for line in (*done, *died)]
        assert len(ids) == len(set(ids)) == len(TASKS)
        assert {line["error"] for line in died} == {
            "fluxqueue_core.errors.TaskTimeout: the task ran for longer than its timeout of 0.01 s"
        }
        # Both must happen, or there was no race.
        assert done and died
        # Each task that is done has run to its end, once.
        assert len(system.ledger.ended()) >= len(done)
        assert set(system.ledger.times_run().values()) == {1}
        assert system.stats() == {"succeeded": len(done), "dead": len(died)}
        # The worker goes on.
        after = "after_async" if name == "sleep_async" else "after"
        system.enqueue(after, AFTER)
        system.wait_until_ended(AFTER)
        assert worker.stop() == 0
    assert worker.named("worker.failed") == worker.named("task.stuck") == []
