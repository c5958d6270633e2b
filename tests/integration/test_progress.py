"""Callers see how far a running task is, on a real worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, Progress, ResultNotKept, ResultTimeout, TaskFailed, TaskHandle
from fluxqueue_core import key
from redis import Redis
from support.raw_messages import promote_all
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import asyncio
from dataclasses import dataclass

def opened(name):
    return os.path.exists(name)

@fluxqueue.task_with_context(result_ttl=60)
def steps(ctx: Context, names):
    for number, name in enumerate(names, 1):
        ctx.progress(number, len(names), f"before {name}")
        while not opened(name):
            time.sleep(0.01)
    return "done"

@fluxqueue.task_with_context(result_ttl=60)
async def steps_async(ctx: Context, names):
    for number, name in enumerate(names, 1):
        ctx.progress(number, len(names), f"before {name}")
        while not opened(name):
            await asyncio.sleep(0.01)
    return "done"

@fluxqueue.task_with_context(result_ttl=60)
def in_a_thread(ctx: Context, names):
    thread = threading.Thread(target=steps.func, args=(ctx, names))
    thread.start()
    thread.join()
    return "done"

@fluxqueue.task_with_context()
def forgetful(ctx: Context):
    ctx.progress(1, 2)
    note("reported")

@fluxqueue.task_with_context(result_ttl=60)
def often(ctx: Context):
    reports = 0
    while not opened("a"):
        ctx.progress(reports := reports + 1)
    note(reports)

@fluxqueue.task_with_context(result_ttl=60)
def late(ctx: Context):
    def report_on():
        while not opened("a"):
            ctx.progress(7)
        note("over")
    threading.Thread(target=report_on).start()
    return "early"

@fluxqueue.task_with_context(result_ttl=60, retry_delay=60)
def failing(ctx: Context):
    if ctx.metadata.retries == 0:
        ctx.progress(1, 2, "first")
        while not opened("a"):
            time.sleep(0.01)
        raise ValueError("once")
    while not opened("b"):
        time.sleep(0.01)
    return "second"

@dataclass(frozen=True)
class Frozen(Context):
    metadata: object
    thread_storage: dict

@fluxqueue.task_with_context(result_ttl=60)
def frozen(ctx: Frozen):
    ctx.progress(1, 1)
    return "frozen"

@fluxqueue.task(result_ttl=60)
async def watcher(task_id, in_worker):
    return [each.note async for each in fluxqueue.handle(task_id).watch(in_worker=in_worker)]
"""


def declared(client: FluxQueue, name: str, **options: Any) -> Callable[..., TaskHandle[Any]]:
    def call(*args: Any) -> None: ...

    call.__name__ = name
    return client.task(**{"result_ttl": 60, **options})(call).enqueue


def calls(redis: Redis) -> int:
    """How many scripts Redis has run."""
    stats: Any = redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


def wait_for(handle: TaskHandle[Any], note: str) -> Progress:
    found: list[Progress] = []

    def there() -> bool:
        progress = handle.progress()
        if progress is not None and progress.note == note:
            found.append(progress)
        return bool(found)

    wait_until(there)
    return found[0]


@pytest.mark.parametrize("name", ["steps", "steps_async", "in_a_thread"])
def test_a_caller_sees_how_far_a_task_is(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue, name: str
) -> None:
    handle = declared(client, name)(["a", "b"])
    assert handle.progress() is None
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        progress = wait_for(handle, "before a")
        assert (progress.done, progress.total, progress.fraction) == (1, 2, 0.5)
        # It does not end a wait.
        assert handle.status() == "unfinished"
        with pytest.raises(ResultTimeout):
            handle.result(timeout=0)
        with pytest.raises(ResultTimeout):
            handle.result(timeout=0.01)
        stored = key("result", "default", handle.id)
        assert 0 < redis.pttl(stored) <= 60_000
        (tmp_path / "a").touch()
        assert wait_for(handle, "before b").done == 2
        waiting = threading.Timer(0.2, (tmp_path / "b").touch)
        waiting.start()
        assert handle.result(20) == "done"
        waiting.join()
        assert handle.progress() is None and handle.status() == "succeeded"
        assert worker.stop() == 0


def test_a_page_watches_a_task_until_its_end(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue
) -> None:
    handle = declared(client, "steps")(["a", "b"])
    notes: list[str] = []

    async def watch() -> None:
        async for progress in handle.watch():
            notes.append(progress.note)
            if progress.note == "before a":
                # A second one begins later, and sees the last report at once.
                async for other in handle.watch():
                    assert other == progress
                    break
                assert await handle.progress_async() == progress
                (tmp_path / "a").touch()
            else:
                (tmp_path / "b").touch()
        assert await handle.result_async() == "done"
        # It has ended: nothing is left to see.
        assert [each async for each in handle.watch()] == []
        assert await handle.progress_async() is None

    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        asyncio.run(asyncio.wait_for(watch(), 60))
        assert worker.stop() == 0
    assert notes == ["before a", "before b"]
    wait_until(lambda: redis.pubsub_channels("fluxqueue:*") == [])


def test_a_task_without_a_result_reports_nothing(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue
) -> None:
    handle = declared(client, "forgetful", result_ttl=None)()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done")
        assert worker.stop() == 0
    assert worker.notes() == ["reported"]
    assert redis.exists(key("result", "default", handle.id)) == 0
    with pytest.raises(ResultNotKept):
        handle.progress()


def test_many_reports_make_few_writes(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue
) -> None:
    handle = declared(client, "often")()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        wait_until(lambda: handle.progress() is not None)
        seen, before = {handle.progress()}, calls(redis)

        def some() -> bool:
            seen.add(handle.progress())
            return len(seen) > 4

        wait_until(some)
        sent = calls(redis) - before
        (tmp_path / "a").touch()
        assert handle.result(20) is None
        assert worker.stop() == 0
    # Each write takes the last of thousands of reports along.
    (reports,) = worker.notes()
    assert int(reports) > 100 * len(seen)
    assert sent < 20


def test_a_report_after_the_end_does_not_hide_the_outcome(
    tmp_path: Path, redis_url: str, client: FluxQueue
) -> None:
    handle = declared(client, "late")()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        assert handle.result(20) == "early"
        for _ in range(5):
            other = declared(client, "frozen")()
            assert other.result(20) == "frozen"
        assert handle.result(0) == "early" and handle.progress() is None
        (tmp_path / "a").touch()
        wait_until(lambda: worker.notes() == ["over"])
        assert handle.result(0) == "early"
        assert worker.stop() == 0


def test_progress_stays_while_a_retry_waits(
    tmp_path: Path, redis_url: str, redis: Redis, client: FluxQueue
) -> None:
    handle = declared(client, "failing")()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        wait_for(handle, "first")
        (tmp_path / "a").touch()
        worker.wait_for("task.retry")
        wait_until(lambda: redis.zcard(key("delayed", "default")) == 1)
        progress = handle.progress()
        assert progress is not None and progress.note == "first"
        promote_all(redis)
        (tmp_path / "b").touch()
        assert handle.result(20) == "second"
        assert worker.stop() == 0


def test_a_task_watches_its_own_queue_only_if_it_says_so(
    tmp_path: Path, redis_url: str, client: FluxQueue
) -> None:
    handle = declared(client, "steps")(["a"])
    watcher = declared(client, "watcher", max_retries=0)
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=3) as worker:
        wait_for(handle, "before a")
        with pytest.raises(TaskFailed, match="ResultDeadlock"):
            watcher(handle.id, False).result(20)
        watching = watcher(handle.id, True)
        assert watching.status() == "unfinished"
        (tmp_path / "a").touch()
        assert watching.result(20) in (["before a"], [])
        assert worker.stop() == 0
