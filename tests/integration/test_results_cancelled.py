"""A caller learns at once that a task is cancelled which waits, without a worker."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskCancelled, TaskHandle, gather_results, gather_results_sync
from fluxqueue.waiting import listener
from support.scripts import Scripts
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(result_ttl=60)
def work(number):
    note(number)
"""


def work(client: FluxQueue) -> Any:
    def function(number: int) -> None: ...

    return client.task(name="work", result_ttl=60)(function)


@pytest.mark.parametrize("options", [{}, {"delay": 3600}, {"priority": 5}])
def test_a_task_that_waits_is_cancelled_for_each_process_at_once(
    client: FluxQueue, redis_url: str, options: dict[str, Any]
) -> None:
    handle = work(client).options(**options).enqueue(1)
    assert handle.cancel() == "cancelled"
    assert handle.status() == "cancelled"
    with pytest.raises(TaskCancelled) as caught:
        handle.result(timeout=0)
    error = caught.value
    assert (error.state, error.attempts, error.worker) == ("cancelled", 0, None)
    assert handle.progress() is None
    other = FluxQueue(redis_url).handle(handle.id)
    with pytest.raises(TaskCancelled):
        other.result(timeout=10)


def test_a_cancel_wakes_all_callers_that_wait(client: FluxQueue) -> None:
    handles: list[TaskHandle[Any]] = [work(client).enqueue(number) for number in range(20)]
    ended: list[Any] = []

    async def on_loop() -> None:
        reports = [report async for report in handles[0].watch()]
        ended.append([*reports, *await gather_results(handles[:10], return_exceptions=True)])

    waits = [
        lambda: ended.append(gather_results_sync(handles[10:], return_exceptions=True)),
        lambda: asyncio.run(on_loop()),
    ]
    threads = [threading.Thread(target=wait, daemon=True) for wait in waits]
    for thread in threads:
        thread.start()
    wait_until(lambda: listener(client.settings).waits == 11)
    for handle in handles:
        assert handle.cancel() == "cancelled"
    for thread in threads:
        thread.join(30)
    assert [type(error) for found in ended for error in found] == [TaskCancelled] * 20


def test_the_worker_ends_it_later_and_changes_nothing(
    client: FluxQueue, scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    of_default = Scripts(scripts.redis, "default")
    handle = work(client).enqueue(1)
    handle.cancel()
    result = of_default.key("result", handle.id)
    before = scripts.redis.get(result)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.cancelled", task_id=handle.id)
        wait_until(lambda: of_default.stats() == {"cancelled": 1}, what=worker.output)
        assert worker.stop() == 0
        assert worker.notes() == []
    assert scripts.redis.get(result) == before
    assert handle.cancel() == "already_done" and handle.status() == "cancelled"
