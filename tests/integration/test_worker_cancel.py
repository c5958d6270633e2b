"""Cancelled tasks: a real worker does not begin them, or stops them."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskCancelled, TaskExpired
from support.scripts import Scripts
from support.system import System
from support.waiting import seconds_since, wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

APP = """
import asyncio
from fluxqueue.errors import CancelRequested

@fluxqueue.task()
def busy(name):
    note(f"began {name}")
    try:
        while True:
            sum(range(1000))
    except CancelRequested:
        note(f"cancelled {name}")
        raise

@fluxqueue.task()
def sleeping(name):
    note(f"began {name}")
    try:
        while True:
            time.sleep(0.05)
    except CancelRequested:
        note(f"cancelled {name}")
        raise ValueError(name)

@fluxqueue.task(timeout=60)
def timed(name):
    note(f"began {name}")
    try:
        while True:
            time.sleep(0.05)
    finally:
        note(f"cancelled {name}")

@fluxqueue.task()
async def coroutine(name):
    note(f"began {name}")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        note(f"cancelled {name}")
        raise

@fluxqueue.task()
def stuck(name):
    note(f"began {name}")
    time.sleep(4)

@fluxqueue.task()
def obstinate(name):
    note(f"began {name}")
    try:
        while True:
            time.sleep(0.05)
    except CancelRequested:
        note(f"cancelled {name}")
    # It returns, so it has succeeded.

@fluxqueue.task(retry_delay=3600)
def failing(name):
    note(f"began {name}")
    raise ValueError(name)

@fluxqueue.task()
def quick(name):
    note(f"quick {name}")
"""
# A worker serves the queue of a task only; others may be called for it too.
ELSEWHERE = """
@fluxqueue.task(queue="other")
def elsewhere(): ...
"""
RUNNING = ["busy", "sleeping", "timed", "coroutine"]


def client(url: str) -> dict[str, Any]:
    """The tasks of the application, as a client has them."""
    fluxqueue = FluxQueue(url)

    def function(name: str) -> None: ...

    names = [*RUNNING, "stuck", "obstinate", "failing", "quick"]
    return {name: fluxqueue.task(name=name)(function) for name in names}


@pytest.mark.parametrize("name", RUNNING)
def test_a_running_task_is_stopped_within_a_second(
    scripts: Scripts, redis_url: str, tmp_path: Path, name: str
) -> None:
    of_default = Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=2) as worker:
        handle = client(redis_url)[name].enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"], what=worker.output)
        moment = time.monotonic()
        assert handle.cancel() == "requested"
        worker.wait_for("task.cancelled", task_id=handle.id, level="info")
        assert seconds_since(moment) < 2
        wait_until(lambda: of_default.stats() == {"cancelled": 1}, what=worker.output)
        assert worker.notes() == ["began one", "cancelled one"]
        # The thread and the loop go on.
        client(redis_url)["quick"].enqueue("two")
        wait_until(lambda: "quick two" in worker.notes(), what=worker.output)
        assert handle.cancel() == "already_done"
        assert of_default.cancelled() == set()
        assert worker.stop() == 0
        assert not worker.named("worker.settling_failed")
    assert of_default.dead() == {} and of_default.delayed() == {}


def test_a_task_that_waits_never_begins(scripts: Scripts, redis_url: str, tmp_path: Path) -> None:
    tasks, of_default = client(redis_url), Scripts(scripts.redis, "default")
    handles = [tasks["quick"].enqueue(n) for n in range(6)]
    assert [handle.cancel() for handle in handles[::2]] == ["cancelled"] * 3
    assert asyncio.run(handles[1].cancel_async()) == "cancelled"
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        wait_until(
            lambda: of_default.stats() == {"succeeded": 2, "cancelled": 4}, what=worker.output
        )
        assert sorted(worker.notes()) == ["quick 3", "quick 5"]
        worker.wait_for("task.cancelled", task_id=handles[0].id)
        assert worker.stop() == 0
    assert of_default.cancelled() == set()


def test_a_task_that_waits_for_its_retry_ends_at_once(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    of_default = Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        handle = client(redis_url)["failing"].enqueue("one")
        worker.wait_for("task.retry", task_id=handle.id)
        wait_until(lambda: len(of_default.delayed()) == 1)
        assert handle.cancel() == "cancelled"
        worker.wait_for("task.cancelled", task_id=handle.id)
        wait_until(lambda: of_default.stats() == {"retried": 1, "cancelled": 1})
        assert of_default.delayed() == {} and worker.stop() == 0


def test_many_running_tasks_are_stopped_at_once(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    """CPython 3.11 has one flag for the pending exceptions of all threads."""
    tasks, of_default = client(redis_url), Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=20) as worker:
        handles = [tasks[RUNNING[n % 4]].enqueue(str(n)) for n in range(16)]
        wait_until(lambda: len(worker.notes()) == 16, what=worker.output)
        for handle in handles:
            assert handle.cancel() == "requested"
        wait_until(lambda: of_default.stats() == {"cancelled": 16}, what=worker.output)
        assert not worker.named("worker.settling_failed")
        for number in range(40):
            tasks["quick"].enqueue(number)
        wait_until(lambda: of_default.stats().get("succeeded") == 40, what=worker.output)
        assert worker.stop() == 0


def test_a_task_that_catches_it_and_returns_has_succeeded(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    of_default = Scripts(scripts.redis, "default")
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        handle = client(redis_url)["obstinate"].enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"])
        handle.cancel()
        wait_until(lambda: of_default.stats() == {"succeeded": 1}, what=worker.output)
        assert of_default.cancelled() == set() and worker.stop() == 0


def test_a_task_that_does_not_end_is_stuck_and_loses_its_slot(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    tasks = client(redis_url)
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, timeout_grace=0.5) as worker:
        handle = tasks["stuck"].enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"])
        handle.cancel()
        worker.wait_for("task.stuck", task_id=handle.id, cancelled=True)
        tasks["quick"].enqueue("two")
        wait_until(lambda: "quick two" in worker.notes(), what=worker.output)
        worker.wait_for("task.cancelled", task_id=handle.id)
        assert worker.stop() == 0


@pytest.mark.parametrize("name", ["sleeping", "coroutine"])
def test_a_task_of_another_queue_with_the_same_id_runs_on(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    task = client(redis_url)[name].options(task_id="order-17")
    app = APP + ELSEWHERE
    with WorkerProcess(tmp_path, redis_url, app, queue="default,other", concurrency=2) as worker:
        first = task.enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"], what=worker.output)
        second = task.options(queue="other").enqueue("two")
        wait_until(lambda: worker.notes()[1:] == ["began two"], what=worker.output)
        assert first.id == second.id
        for handle, ended in ((second, "two"), (first, "one")):
            assert handle.cancel() == "requested"
            worker.wait_for("task.cancelled", queue=handle.queue)
            assert worker.notes()[-1] == f"cancelled {ended}"
        assert worker.notes()[2:] == ["cancelled two", "cancelled one"]
        assert worker.stop() == 0


@pytest.mark.parametrize("name", ["busy", "coroutine"])
def test_a_cancel_outlives_the_worker_that_is_killed(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    with System(tmp_path, redis_url, APP, lease=1.0) as system:
        system.start_scheduler().wait_for("scheduler.started")
        worker = system.start_worker()
        handle = client(redis_url)[name].enqueue("one")
        wait_until(lambda: worker.notes() == ["began one"])
        worker.signal(signal.SIGSTOP)
        assert handle.cancel() == "requested"
        worker.kill()
        other = system.start_worker()
        other.wait_for("task.cancelled", task_id=handle.id)
        system.wait_until_settled()
        assert other.notes() == ["began one"]
        assert system.stats() == {"rescued": 1, "cancelled": 1}


@pytest.mark.parametrize("name", ["quick", "busy"])
def test_a_caller_that_waits_for_the_result_learns_of_the_cancel(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    """Before the task begins, and while it runs."""
    handle = client(redis_url)[name].options(result_ttl=60).enqueue("one")
    if name == "quick":
        assert handle.cancel() == "cancelled"
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        if name == "busy":
            wait_until(lambda: worker.notes() == ["began one"], what=worker.output)
            assert handle.cancel() == "requested"
        with pytest.raises(TaskCancelled):
            handle.result(timeout=10)
        assert handle.status() == "cancelled"
        worker.wait_for("task.cancelled", task_id=handle.id)
        assert worker.stop() == 0


def test_a_call_that_is_due_after_its_expiry_never_begins(redis_url: str, tmp_path: Path) -> None:
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker()
        options = {"delay": 0.1, "expires": 0.2, "result_ttl": 60}
        handle = client(redis_url)["quick"].options(**options).enqueue("late")
        time.sleep(0.3)
        system.start_scheduler()  # it finds the call after its expiry
        with pytest.raises(TaskExpired):
            handle.result(timeout=10)
        assert worker.notes() == [] and system.stats() == {"expired": 1}
