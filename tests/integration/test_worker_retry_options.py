"""A real worker process on a real Redis: which failures are retried, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import dead, delayed, pending, promote_all, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio
from fluxqueue import Reject, Retry, RetryPolicy

POLICIES = {
    OSError: RetryPolicy(delays=[100]),
    ConnectionError: RetryPolicy(max_retries=1, delay=200),
}

def nested(error):
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise error from cause

def in_finally(error):
    try:
        raise KeyError("replaced")
    finally:
        raise error

async def in_group(error):
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(3600))
        group.create_task(fail_later(error))

async def fail_later(error):
    await asyncio.sleep(0)
    raise error

ERRORS = {
    "again": lambda: Retry("the server is busy", delay=300),
    "again by default": Retry,
    "why": lambda: Reject("no such customer"),
    "broken": lambda: BrokenPipeError("broken"),
    "file": lambda: FileNotFoundError("file"),
    "value": lambda: ValueError("value"),
}

def both(**options):
    def declare(name):
        @fluxqueue.task(name=name, jitter=False, **options)
        def fail(how, error):
            {"finally": in_finally, "plain": nested}[how](ERRORS[error]())

        @fluxqueue.task(name=name + "_async", jitter=False, **options)
        async def fail_async(how, error):
            if how == "group":
                await in_group(ERRORS[error]())
            {"finally": in_finally, "plain": nested}[how](ERRORS[error]())
    return declare

both(retry_delay=7)("plain")
both(retry_on=POLICIES)("by_class")
both(no_retry_on=(ValueError, OSError))("never")
both(retry_on=ConnectionError, retry_delays=[50, 60])("only")

def seconds(attempt, error):
    return None if isinstance(error, ValueError) else attempt * 10

@fluxqueue.task(name="computed", retry=seconds)
def computed(how, error):
    nested(ERRORS[error]())

@fluxqueue.task(name="computed_async", retry=seconds)
async def computed_async(how, error):
    nested(ERRORS[error]())

def quits(attempt, error):
    raise SystemExit("of the function")

@fluxqueue.task(name="quits", retry=quits)
def quits_sync(how, error):
    nested(ERRORS[error]())

@fluxqueue.task(name="quits_async", retry=quits)
async def quits_async(how, error):
    nested(ERRORS[error]())
"""

# The task, its retries until now, how it fails; then the seconds, or the reason of the end.
RETRIED: list[tuple[str, int, str, str, float | str]] = [
    ("plain", 0, "plain", "again", 300),
    ("plain", 0, "finally", "again", 300),
    ("plain_async", 2, "group", "again", 300),
    ("plain", 1, "plain", "again by default", 14),
    ("plain", 3, "plain", "again", "failed"),
    ("plain", 0, "finally", "why", "rejected"),
    ("plain_async", 0, "group", "why", "rejected"),
    ("by_class", 0, "plain", "broken", 200),
    ("by_class", 1, "plain", "broken", "failed"),
    ("by_class_async", 0, "group", "file", 100),
    ("by_class", 0, "plain", "value", "not_in_retry_on"),
    ("never", 0, "plain", "value", "no_retry_on"),
    ("never_async", 0, "group", "broken", "no_retry_on"),
    ("only", 1, "plain", "broken", 60),
    ("only", 0, "plain", "file", "not_in_retry_on"),
    ("computed", 1, "plain", "broken", 20),
    ("computed", 0, "plain", "value", "retry_refused"),
]


def test_each_rule_ends_in_a_retry_or_in_the_dead_set_with_its_name(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    cases = RETRIED + [
        (f"{name}_async", retries, how, error, expected)
        for name, retries, how, error, expected in RETRIED
        if not name.endswith("_async")
    ]
    retried: dict[str, float] = {}
    ended: dict[str, str] = {}
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for name, retries, how, error, expected in cases:
            task_id = push(redis, name, how, error, retries=retries)
            if isinstance(expected, str):
                ended[task_id] = expected
            else:
                retried[task_id] = expected
        worker.wait_for("task.retry", count=len(retried))
        worker.wait_for("task.dead", count=len(ended))
        wait_until(lambda: len(dead(redis)) == len(ended))
        wait_until(lambda: len(delayed(redis)) == len(retried))
        assert worker.stop() == 0
        lines = {line["task_id"]: line for line in worker.named("task.retry")}
        reasons = {line["task_id"]: line["reason"] for line in worker.named("task.dead")}
        assert worker.named("task.retry_fault") == []
    assert {task_id: line["delay"] for task_id, line in lines.items()} == retried
    assert reasons == ended
    assert {task_id: reason["reason"] for task_id, reason in dead(redis).items()} == ended
    rejected = [reason for reason in dead(redis).values() if reason["reason"] == "rejected"]
    texts = {str(reason["error"]) for reason in rejected}
    assert texts == {
        "fluxqueue.Reject: no such customer",
        "fluxqueue.Reject: no such customer "
        "(in ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception))",
    }
    # The cause, the replaced error and the member of the group are in the tracebacks.
    assert all("fluxqueue.Reject: no such customer" in reason["traceback"] for reason in rejected)
    assert any("KeyError: 'replaced'" in reason["traceback"] for reason in rejected)
    assert any("KeyError: 'the cause'" in str(line["exception"]) for line in lines.values())


@pytest.mark.parametrize("name", ["quits", "quits_async"])
def test_a_function_that_raises_leaves_the_worker_and_the_task_alive(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        task_id = push(redis, name, "plain", "value")
        assert worker.wait_for("task.retry_fault")["error"] == "SystemExit: of the function"
        assert worker.wait_for("task.retry", task_id=task_id)["error"] == "ValueError: value"
        push(redis, "plain", "plain", "why")
        worker.wait_for("task.dead")
        assert worker.stop() == 0


HANGS = """
import asyncio

def hang(attempt, error):
    note("hangs")
    while True:
        time.sleep(0.01)

@fluxqueue.task(retry=hang)
def fail():
    raise ValueError

@fluxqueue.task(retry=hang)
async def fail_async():
    await asyncio.sleep(0)
    raise ValueError
"""


@pytest.mark.parametrize("name", ["fail", "fail_async"])
def test_a_function_that_hangs_keeps_no_worker_from_ending_and_loses_no_task(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, HANGS, drain_timeout=0) as worker:
        task_id = push(redis, name)
        wait_until(lambda: worker.notes() == ["hangs"])
        worker.stop()
    assert [parts["task_id"] for parts in pending(redis)] == [task_id]


def test_failures_that_are_not_retried_obey_the_setting_for_dead_tasks(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, no_save_dead_tasks=True) as worker:
        push(redis, "plain", "plain", "why")
        push(redis, "never", "plain", "value")
        push(redis, "only", "plain", "value")
        push(redis, "computed", "plain", "value")
        worker.wait_for("task.dead", count=4)
        assert worker.stop() == 0
    assert dead(redis) == {}
    assert pending(redis) == []


GROWING = """
from fluxqueue import Retry

@fluxqueue.task_with_context(max_retries=2, retry_delays=[0], jitter=False)
def again(ctx: Context, how):
    note(f"{how} {ctx.metadata.retries}")
    raise Retry(delay=0) if how == "retry" else ValueError
"""


def test_the_retries_end_after_max_retries(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, GROWING) as worker:
        for how in ("retry", "error"):
            push(redis, "again", how, max_retries=2)
        for attempt in range(1, 3):
            worker.wait_for("task.retry", count=2 * attempt)
            wait_until(lambda: len(delayed(redis)) == 2)
            promote_all(redis)
        worker.wait_for("task.dead", count=2, reason="failed")
        assert worker.stop() == 0
    assert sorted(worker.notes()) == sorted(
        f"{how} {retries}" for how in ("retry", "error") for retries in range(3)
    )
