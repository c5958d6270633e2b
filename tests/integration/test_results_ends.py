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
from support.scripts import message as raw
from support.worker_process import WorkerProcess, wait_until

KEEP = '{"r":60000}'


def pushed(name: str = "n", opts: str = KEEP, args: bytes = b"[]") -> Callable[[Scripts], None]:
    """Puts a message where a worker claims it."""
    return lambda scripts: scripts.enqueue(raw(1, name=name, opts=opts, args=args))


def lost(scripts: Scripts) -> None:
    ends.lose(scripts, raw(1, opts=KEEP, deliveries=2))


def unknown(scripts: Scripts) -> None:
    """Puts a message whose name no worker has known since long ago."""
    message = raw(1, name="elsewhere", opts=KEEP)
    scripts.enqueue(message[:-1] + b',"unknown_since":1}')


def unreadable(scripts: Scripts) -> None:
    """Puts a message of which only the head can be read."""
    scripts.enqueue(raw(1, opts=KEEP, args=b"[}"))


def newer(scripts: Scripts) -> None:
    scripts.enqueue(raw(1, opts=KEEP).replace(b'{"v":2', b'{"v":3'))


# Each end: what brings it about, the error of the caller, and a part of its text.
ENDS: dict[str, tuple[Callable[[Scripts], None], type[ResultError] | None, str]] = {
    "succeeded": (pushed(), None, ""),
    "expired": (pushed(opts='{"x":1000000000000,"r":60000}'), TaskExpired, "expired"),
    "cancelled": (pushed(opts='{"e":2,"r":60000}'), TaskCancelled, "was cancelled"),
    "failed": (pushed("failed"), TaskFailed, "failed after 4 attempts: KeyError: 'a'"),
    "rejected": (pushed("rejected"), TaskFailed, "was rejected: .*why"),
    "no_retry_on": (pushed("no_retry_on"), TaskFailed, r"dead \(no_retry_on\): KeyError: 'a'"),
    "not_in_retry_on": (pushed("not_in_retry_on"), TaskFailed, "KeyError: 'a'"),
    "snoozed_too_often": (pushed("snoozed_too_often"), TaskFailed, "Snooze: not ready"),
    "retry_refused": (pushed("retry_refused"), TaskFailed, "KeyError: 'a'"),
    "arguments": (pushed("arguments", args=b"[1,2]"), TaskFailed, "do not fit: TypeError: "),
    "worker_lost": (lost, TaskLost, "lost its worker too often: workers lost .* 3$"),
    "unknown_task": (unknown, TaskFailed, "not known to any worker: .*elsewhere"),
    "malformed": (unreadable, TaskFailed, "not a message of this protocol: it can't be read"),
    # Nothing can be known of the options of a later version.
    "unknown_version": (newer, None, ""),
}


def test_the_table_of_the_protocol_has_these_ends() -> None:
    assert set(ends.rows()) == set(ENDS)


@pytest.mark.parametrize("end", ENDS)
def test_a_caller_learns_of_each_end(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, client: FluxQueue, end: str
) -> None:
    bring_about, kind, text = ENDS[end]
    redis.sadd(key("queues"), "q")
    handle = client.handle(ends.TASK_ID, queue="q")
    bring_about(scripts)
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


@pytest.mark.parametrize("end", ENDS)
def test_a_task_that_keeps_no_result_leaves_none(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, end: str
) -> None:
    """As above, without the option."""
    bring_about, _, _ = ENDS[end]
    redis.sadd(key("queues"), "q")
    bring_about(Without(scripts))  # type: ignore[arg-type]
    with (
        WorkerProcess(tmp_path, redis_url, ends.APP, queue="q", unknown_task_grace=0) as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        wait_until(lambda: redis.hget(key("stats", "q"), ends.counter(end)) == b"1")
        assert worker.stop() == 0
    assert not redis.keys("*:result:*")


class Without:
    """`Scripts` for messages without the option."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def enqueue(self, message: bytes) -> None:
        self._scripts.enqueue(without(message))

    def claim(self, consumer: str, message: bytes) -> None:
        self._scripts.claim(consumer, without(message))

    def end_lease(self, consumer: str) -> None:
        self._scripts.end_lease(consumer)


def without(message: bytes) -> bytes:
    plain = message.replace(b',"opts":{"r":60000}', b"").replace(b',"r":60000', b"")
    if b'"opts"' not in plain:
        plain = plain.replace(b'{"v":2', b'{"v":1')
    assert plain != message
    return plain


def result_of(wait: Callable[[], Any]) -> Any:
    """The value that a wait returns, or its error."""
    try:
        return wait()
    except ResultError as error:
        return error
