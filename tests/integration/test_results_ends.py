"""The result of a task for every way in which it can end.

The ends are those of the table in docs/protocol.md. Each is brought about by real processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import (
    FluxQueue,
    ResultError,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskLost,
)
from fluxqueue_core import key
from redis import Redis
from support import ends
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts
from support.worker_process import WorkerProcess, wait_until

# Each end: the error of the caller, and a part of its text.
ENDS: dict[str, tuple[type[ResultError] | None, str]] = {
    "succeeded": (None, ""),
    "expired": (TaskExpired, "expired"),
    "cancelled": (TaskCancelled, "was cancelled"),
    "failed": (TaskFailed, "failed after 4 attempts: KeyError: 'a'"),
    "rejected": (TaskFailed, "was rejected: .*why"),
    "no_retry_on": (TaskFailed, r"dead \(no_retry_on\): KeyError: 'a'"),
    "not_in_retry_on": (TaskFailed, "KeyError: 'a'"),
    "snoozed_too_often": (TaskFailed, "Snooze: not ready"),
    "retry_refused": (TaskFailed, "KeyError: 'a'"),
    "arguments": (TaskFailed, "do not fit: TypeError: "),
    "worker_lost": (TaskLost, "lost its worker too often: workers lost .* 3$"),
    "struck": (TaskFailed, "was stopped by a strike: strike .* stops it"),
    "unknown_task": (TaskFailed, "not known to any worker: .*elsewhere"),
    "malformed": (TaskFailed, "not a message of this protocol: it can't be read"),
    # Nothing can be known of the options of a later version.
    "unknown_version": (None, ""),
}
# The type of the error, for the ends that an exception brings about.
TYPES = {
    **dict.fromkeys(("failed", "no_retry_on", "not_in_retry_on", "retry_refused"), "KeyError"),
    "rejected": "fluxqueue.Reject",
    "snoozed_too_often": "fluxqueue.Snooze",
    "arguments": "TypeError",
}


def message(end: str, options: str = "") -> bytes:
    """A message that ends in this way: one that has failed before, and a malformed one of
    which only the head can be read."""
    raw = ends.of_end(end, options=options)
    if end == "failed":
        raw = raw.replace(b',"opts"', b',"retries":3,"opts"')
    return raw.replace(b'"args":7', b'"args":[}')


def test_the_table_of_the_protocol_has_these_ends() -> None:
    assert set(ends.rows()) == set(ENDS)


@pytest.mark.parametrize("end", ENDS)
def test_a_caller_learns_of_each_end(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, client: FluxQueue, end: str
) -> None:
    kind, text = ENDS[end]
    redis.sadd(key("queues"), "q")
    handle = client.handle(ends.TASK_ID, queue="q")
    ends.bring_about(scripts, end, message(end, '"r":60000'))
    with (
        WorkerProcess(tmp_path, redis_url, ends.APP, queue="q", unknown_task_grace=0) as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        if end == "unknown_version":
            worker.wait_for("task.parked")
            assert handle.status() == "unfinished"
            return
        got = result_of(lambda: handle.result(30))
        assert handle.status() == end
        assert worker.stop() == 0
    stored = key("result", "q", handle.id)
    assert 0 < redis.pttl(stored) <= 60_000
    if kind is None:
        assert got == "value"
        return
    assert type(got) is kind and re.search(text, str(got)), got
    assert (got.task_id, got.queue, got.state) == (handle.id, "q", end)
    assert got.error_type == TYPES.get(end)


@pytest.mark.parametrize("end", ENDS)
def test_a_task_that_keeps_no_result_leaves_none(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, end: str
) -> None:
    """As above, without the option."""
    redis.sadd(key("queues"), "q")
    ends.bring_about(scripts, end, message(end))
    with (
        WorkerProcess(tmp_path, redis_url, ends.APP, queue="q", unknown_task_grace=0) as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        wait_until(lambda: redis.hget(key("stats", "q"), ends.counter(end)) == b"1")
        assert worker.stop() == 0
    assert not redis.keys("*:result:*")


APP = """
from fluxqueue import Context, FluxQueue, Retry, Snooze

fluxqueue = FluxQueue()

@fluxqueue.task_with_context(result_ttl=60, expires=3)
def late(ctx: Context, failures: int) -> None:
    if not failures:
        raise Snooze(delay=3)
    raise Retry(delay=0 if ctx.metadata.retries + 1 < failures else 3)
"""


@pytest.mark.parametrize(
    ("failures", "text"),
    [
        (0, r"\) expired"),  # a snooze is not counted
        (1, "expired before it began again, after 1 attempt"),
        (2, "expired before it began again, after 2 attempts"),
    ],
)
def test_a_task_whose_next_attempt_is_too_late_is_not_said_never_to_have_begun(
    tmp_path: Path, redis_url: str, client: FluxQueue, failures: int, text: str
) -> None:
    late = client.declare("late", queue="default", max_retries=3)
    with (
        WorkerProcess(tmp_path, redis_url, APP) as worker,
        SchedulerProcess(tmp_path, redis_url) as scheduler,
    ):
        worker.wait_for("worker.connected")
        scheduler.wait_for("scheduler.started")
        handle = late.options(result_ttl=60, expires=3).enqueue(failures)
        with pytest.raises(TaskExpired, match=f"{text}$") as caught:
            handle.result(30)
    assert caught.value.attempts == failures


def result_of(wait: Callable[[], Any]) -> Any:
    """The value that a wait returns, or its error."""
    try:
        return wait()
    except ResultError as error:
        return error
