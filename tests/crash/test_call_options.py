"""Calls with options, through real schedulers and workers; and calls that tasks make."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from support.connections import other_clients
from support.system import System
from support.waiting import wait_until

APP = """
import asyncio
from datetime import UTC, datetime, timedelta
from fluxqueue import TaskTimeout

@fluxqueue.task_with_context()
def work(ctx: Context, number: int):
    m = ctx.metadata
    age = datetime.now(UTC) - m.enqueued_at
    note(f"{number} {m.task_id} {m.max_retries} {m.headers} {age.days}")

@fluxqueue.task(timeout=60)
def slow(number: int):
    try:
        for _ in range(6_000):
            time.sleep(0.01)
    except TaskTimeout:
        note(f"timeout {number}")
        raise

@fluxqueue.task(timeout=0.1, max_retries=0)
async def limited(number: int):
    await asyncio.sleep(0.5)
    note(f"timeout {number}")

@fluxqueue.task()
def last(number: int):
    note(f"last {number}")

@fluxqueue.task()
async def async_last(number: int):
    note(f"last {number}")

soon = last.options(delay=0.05)

@fluxqueue.task()
def parent(number: int):
    assert soon.enqueue(number).queue == "default"
    last.options(headers={"a": "b"})(number)
    last.enqueue_many([(number,), soon.call(number)])
    asyncio.run(async_last.options(eta=datetime.now(UTC)).enqueue_async(number))
    note(f"connections {os.getpid()} {threading.get_ident()}")

@fluxqueue.task()
async def async_parent(number: int):
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)
    ticking = asyncio.create_task(tick())
    await soon.enqueue_async(number)
    await async_last.options(delay=0.05)(number)
    await asyncio.gather(*(last.options(delay=0.01).enqueue_async(number) for _ in range(3)))
    await async_last.enqueue_many_async([(number,), async_last.call(number)], spread=0.1)
    ticking.cancel()
    note(f"ticks {ticks > 0}")
"""


def app_on(redis_url: str) -> tuple[FluxQueue, dict[str, Any]]:
    """The tasks of `APP`, as an application declares them that only enqueues."""
    app = FluxQueue(redis_url)
    names = ["work", "slow", "limited", "parent", "async_parent"]

    def declare(name: str) -> Any:
        def function(number: int) -> None: ...

        return app.task(name=name)(function)

    return app, {name: declare(name) for name in names}


def test_options_take_effect_in_a_worker(tmp_path: Path, redis_url: str) -> None:
    app, tasks = app_on(redis_url)
    work = tasks["work"]
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=4)
        worker.wait_for("worker.connected")
        handle = work.options(
            delay=0.3, task_id="order-17", max_retries=7, headers={"tenant": "ü"}
        ).enqueue(1)
        work.options(eta=datetime.now(UTC) + timedelta(seconds=0.3)).enqueue(2)
        work.enqueue_many([(n,) for n in range(3, 7)], spread=0.4)
        tasks["slow"].options(timeout=0.2, max_retries=0).enqueue(7)
        tasks["limited"].options(timeout=30).enqueue(8)
        wait_until(lambda: len(worker.notes()) == 8)
        notes = worker.notes()
    assert f"1 {handle.id} 7 {{'tenant': 'ü'}} 0" in notes
    assert {line.split()[0] for line in notes} == {*"123456", "timeout"}
    assert all(line.endswith("{} 0") for line in notes if line[0] in "23456")
    assert app.handle("order-17") == handle


def test_tasks_of_both_kinds_enqueue_with_options(tmp_path: Path, redis_url: str) -> None:
    """Each thread of the worker has one connection for its calls, and so has the loop; the loop
    goes on while a call waits for Redis."""
    _, tasks = app_on(redis_url)
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=2)
        worker.wait_for("worker.connected")
        tasks["parent"].enqueue(1)
        asyncio.run(tasks["async_parent"].enqueue_async(2))
        wait_until(lambda: worker.notes().count("last 1") == 5)
        wait_until(lambda: worker.notes().count("last 2") == 7)
        assert "ticks True" in worker.notes()
        before = len(other_clients(system.redis))
        tasks["parent"].enqueue_many([(n,) for n in range(3, 40)])
        wait_until(lambda: worker.notes().count("last 39") == 5)
        # Two threads at most, the loop, and what each of `asyncio.run` has closed.
        assert len(other_clients(system.redis)) <= before + 2
