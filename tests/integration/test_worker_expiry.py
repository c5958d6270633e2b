"""Tasks that expire: a real worker does not begin them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskExpired
from support.scripts import Scripts
from support.system import System
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

APP = """
import ctypes

@fluxqueue.task(expires=0.2)
def short(name):
    note(name)

@fluxqueue.task(expires=0.2)
async def short_async(name):
    note(name)

@fluxqueue.task(expires=3600)
def long(name):
    note(name)

@fluxqueue.task()
def busy(seconds):
    time.sleep(seconds)
    note("busy")

@fluxqueue.task()
def hold_gil(seconds):
    note("holds")
    # `PyDLL` calls a C function without releasing the GIL.
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))

@fluxqueue.task(expires=0.5, retry_delay=1.5, jitter=False)
def failing(name):
    note(name)
    raise ValueError(name)
"""


def declared(url: str) -> dict[str, Any]:
    """The tasks of the application, as a client has them."""
    client = FluxQueue(url)
    tasks: dict[str, Any] = {}

    def declare(name: str, **options: Any) -> None:
        def function(argument: Any) -> None: ...

        tasks[name] = client.task(name=name, **options)(function)

    declare("short", expires=0.2)
    declare("short_async", expires=0.2)
    declare("long", expires=3600)
    declare("busy")
    declare("hold_gil")
    declare("failing", expires=0.5)
    return tasks


def test_a_task_that_waited_too_long_ends_without_an_attempt(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    tasks, of_default = declared(redis_url), Scripts(scripts.redis, "default")
    ids = [tasks[name].enqueue("late").id for name in ("short", "short_async")]
    tasks["long"]("in time")
    time.sleep(0.3)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        wait_until(lambda: of_default.stats() == {"succeeded": 1, "expired": 2}, what=worker.output)
        assert worker.notes() == ["in time"]
        for task_id in ids:
            worker.wait_for("task.expired", task_id=task_id, level="warning")
        assert worker.stop() == 0
    assert of_default.dead() == {} and of_default.delayed() == {}


def test_a_task_does_not_expire_behind_a_long_one_and_then_begin(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    tasks, of_default = declared(redis_url), Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1) as worker:
        worker.wait_for("worker.connected")
        tasks["busy"](2.0)
        tasks["short"].enqueue_many([(number,) for number in range(20)])
        wait_until(
            lambda: of_default.stats() == {"succeeded": 1, "expired": 20}, what=worker.output
        )
        assert worker.notes() == ["busy"]
        assert worker.stop() == 0


@pytest.mark.parametrize("name", ["short", "short_async"])
def test_a_task_that_expires_while_its_thread_waits_for_the_gil_does_not_begin(
    scripts: Scripts, redis_url: str, tmp_path: Path, name: str
) -> None:
    tasks, of_default = declared(redis_url), Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=2) as worker:
        worker.wait_for("worker.connected")
        tasks["hold_gil"](2.0)
        wait_until(lambda: worker.notes() == ["holds"], what=worker.output)
        handle = tasks[name].options(result_ttl=60).enqueue("late")
        with pytest.raises(TaskExpired):
            handle.result(timeout=30)
        worker.wait_for("task.expired", task_id=handle.id)
        tasks["long"]("in time")
        wait_until(lambda: of_default.stats() == {"succeeded": 2, "expired": 1})
        assert worker.notes() == ["holds", "in time"]
        assert worker.stop() == 0


def test_a_retry_does_not_extend_the_time(redis_url: str, tmp_path: Path) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler().wait_for("scheduler.started")
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        declared(redis_url)["failing"]("once")
        worker.wait_for("task.expired", name="failing")
        system.wait_until_settled()
        assert system.stats() == {"retried": 1, "expired": 1}
        assert worker.notes() == ["once"]
