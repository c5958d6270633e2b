"""Unique tasks, as workers begin and end them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fluxqueue import FluxQueue, ResultError, TaskCancelled
from fluxqueue_core import key
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

pytestmark = pytest.mark.versions

APP = """
import fluxqueue as package

@fluxqueue.task()
def succeed(number):
    note(f"succeed {number}")

@fluxqueue.task(max_retries=0)
def fail(number):
    raise ValueError(number)

@fluxqueue.task()
def reject(number):
    raise package.Reject("no")

@fluxqueue.task(max_retries=1, retry_delay=0.05)
def retry(number):
    note(f"retry {number}")
    raise ValueError(number)

@fluxqueue.task(max_snoozes=1)
def snooze(number):
    raise package.Snooze(0.05)

@fluxqueue.task(unique=True, unique_until="start")
def wait(number):
    note(f"began {number}")
    while not os.path.exists("go"):
        time.sleep(0.02)

@fluxqueue.task()
def index(text):
    note(text)
"""
ENDS = ["succeed", "fail", "reject", "retry", "snooze", "unfit", "unknown"]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_end_frees_the_lock(redis_url: str, tmp_path: Path, concurrency: int) -> None:
    app = FluxQueue(redis_url)
    tasks = {
        name: app.declare(name, unique=True, result_ttl=60, max_retries=1 if name == "retry" else 0)
        for name in ENDS
    }
    first = {
        name: task.enqueue(1, 2) if name == "unfit" else task.enqueue(1)
        for name, task in tasks.items()
    }
    expired = app.declare("succeed", unique=True, expires=0.001, result_ttl=60).enqueue(2)
    cancelled = app.declare("succeed", unique=True, result_ttl=60).options(delay=3600).enqueue(3)
    assert cancelled.cancel() == "cancelled"
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        system.start_worker(concurrency=concurrency, unknown_task_grace=0.1)
        first.pop("succeed").result(timeout=30)
        for handle in [*first.values(), expired, cancelled]:
            with pytest.raises(ResultError):
                handle.result(timeout=30)
        assert system.redis.keys(key("unique", "default", "*")) == []
        assert read_notes(tmp_path).count("retry 1") == 2
    app.close()


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_call_made_while_a_task_runs_is_enqueued_if_its_lock_ends_with_the_start(
    redis_url: str, tmp_path: Path, concurrency: int
) -> None:
    """A BLMOVE brings the task to the idle worker: rule 17."""
    app = FluxQueue(redis_url)
    wait = app.declare("wait", unique=True, unique_until="start")
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker(concurrency=concurrency)
        worker.wait_for("worker.connected")
        for number in range(1, concurrency + 1):
            assert wait.enqueue("a").created
            wait_until(lambda begun=number: len(read_notes(tmp_path)) == begun)  # type: ignore[misc]
        # All slots are taken.
        assert wait.enqueue("a").created
        assert not wait.enqueue("a").created
        (tmp_path / "go").touch()
        wait_until(lambda: len(read_notes(tmp_path)) == concurrency + 1)
        wait_until(lambda: system.stats()["succeeded"] == concurrency + 1)
        assert system.redis.keys(key("unique", "default", "*")) == []
    app.close()


def test_a_replaced_task_that_is_awaited_ends_as_cancelled(redis_url: str, tmp_path: Path) -> None:
    app = FluxQueue(redis_url)
    index = app.declare("index", unique=lambda text: 1, debounce=0.3, max_wait=5, result_ttl=60)
    handles = [index.enqueue(text) for text in "abc"]
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        system.start_worker()
        for handle in handles[:-1]:
            with pytest.raises(TaskCancelled):
                handle.result(timeout=30)
        handles[-1].result(timeout=30)
        assert read_notes(tmp_path) == ["c"]
        assert system.redis.keys(key("unique", "default", "*")) == []
    app.close()
