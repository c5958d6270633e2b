"""The task that `on_failure` names is called for each end of the table in docs/protocol.md.

The ends are brought about by real processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import Failure, FluxQueue
from fluxqueue_core import key
from redis import Redis
from support import ends
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message
from support.worker_process import WorkerProcess, wait_until

CALLED = """
import json
from fluxqueue import Failure

@fluxqueue.task(queue="q")
def alert(failure: Failure):
    assert type(failure) is Failure
    note(json.dumps({name: getattr(failure, name) for name in failure.__slots__}))

@fluxqueue.task(queue="q", max_retries=0)
def alert_twice(failure):
    note(json.dumps(failure))
    raise RuntimeError("the alarm is broken")

@fluxqueue.task(queue="q", retry_delays=[0], retry_jitter=False)
def failed_twice():
    raise KeyError("a")
"""
APP = ends.APP + CALLED
CALLBACK = b',"on_failure":{"name":"alert"}}'


def calling(raw: bytes, more: bytes = b"") -> bytes:
    """The message with a callback."""
    return raw[:-1] + more + CALLBACK


def pushed(
    name: str = "n", opts: str = "", args: bytes = b"[]", more: bytes = b""
) -> Callable[[Scripts], None]:
    """Puts a message where a worker claims it."""
    return lambda scripts: scripts.enqueue(
        calling(message(1, name=name, opts=opts, args=args), more)
    )


def lost(scripts: Scripts) -> None:
    ends.lose(scripts, calling(message(1, deliveries=2, args=b"[1]")))


# Each end: what brings it about, and the members of the failure. None: no callback is called.
ENDS: dict[str, tuple[Callable[[Scripts], None], dict[str, Any] | None]] = {
    "succeeded": (pushed(), None),
    "cancelled": (pushed(opts='{"e":2}'), None),
    "expired": (
        pushed(opts='{"x":1000000000000}', args=b"[1]"),
        {"error": "it expired before an attempt began", "attempts": 0, "args": [1]},
    ),
    "failed": (
        pushed("failed", args=b'[1,{"a":null}]', more=b',"kwargs":{"b":2},"max_retries":0'),
        {"error": "KeyError: 'a'", "args": [1, {"a": None}], "kwargs": {"b": 2}, "attempts": 1},
    ),
    "rejected": (pushed("rejected"), {"error": "fluxqueue.Reject: why"}),
    "no_retry_on": (pushed("no_retry_on"), {"error": "KeyError: 'a'", "attempts": 1}),
    "not_in_retry_on": (pushed("not_in_retry_on"), {"error": "KeyError: 'a'"}),
    "retry_refused": (pushed("retry_refused"), {"error": "KeyError: 'a'"}),
    "snoozed_too_often": (pushed("snoozed_too_often"), {"attempts": 1}),
    "arguments": (pushed("arguments", args=b"[1,2]"), {"args": [1, 2], "attempts": 1}),
    "worker_lost": (lost, {"error": "workers lost while they held the task: 3", "args": [1]}),
    "unknown_task": (
        pushed("elsewhere", args=b"[1]", more=b',"unknown_since":1'),
        {"args": [1], "attempts": 0},
    ),
    # The callback can be read although the message can't.
    "malformed": (pushed(args=b"7"), {"error": "args is not an array", "args": None}),
    # Nothing can be known of a message of a later version.
    "unknown_version": (
        lambda scripts: scripts.enqueue(calling(message(1)).replace(b'{"v":1', b'{"v":3')),
        None,
    ),
}


def failures(worker: WorkerProcess) -> list[dict[str, Any]]:
    return [json.loads(note) for note in worker.notes()]


def test_the_table_of_the_protocol_has_these_ends() -> None:
    calls = {end: cells[-1] for end, cells in ends.rows().items()}
    assert set(calls) == set(ENDS)
    for end, (_, failure) in ENDS.items():
        assert calls[end].startswith("no" if failure is None else "yes"), end


@pytest.mark.parametrize("end", ENDS)
def test_the_callback_gets_each_end_once(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, end: str
) -> None:
    bring_about, expected = ENDS[end]
    redis.sadd(key("queues"), "q")
    bring_about(scripts)
    with (
        WorkerProcess(
            tmp_path, redis_url, APP, queue="q", unknown_task_grace=0, no_save_dead_tasks=True
        ) as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        wait_until(lambda: redis.hget(key("stats", "q"), ends.counter(end)) == b"1", 30)
        if expected is not None:
            wait_until(lambda: redis.hget(key("stats", "q"), "succeeded") == b"1", 30)
        assert worker.stop() == 0
    if expected is None:
        assert failures(worker) == []
        return
    [failure] = failures(worker)
    assert {name: failure[name] for name in expected} == expected
    assert (failure["id"], failure["queue"]) == (ends.TASK_ID, "q")
    assert failure["reason"] == end and failure["name"] in (end, "n", "elsewhere")
    no_exception = ("expired", "worker_lost", "unknown_task", "malformed")
    assert bool(failure["traceback"]) == (end not in no_exception)
    if failure["args"] is not None:
        assert failure["kwargs"] == expected.get("kwargs", {})


def declared(redis_url: str) -> tuple[FluxQueue, Any]:
    """A client with the last task of a chain of callbacks."""
    client = FluxQueue(redis_url)

    @client.task(queue="q")
    def alert(failure: Failure) -> None: ...

    return client, alert


def test_a_task_is_called_after_its_last_retry_and_its_own_callback_after_its_death(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    client, alert = declared(redis_url)

    @client.task(queue="q", max_retries=0, on_failure=alert)
    def alert_twice(failure: Failure) -> None: ...

    @client.task(queue="q", max_retries=1, on_failure=alert_twice)
    def failed_twice() -> None: ...

    handle = failed_twice.enqueue()
    with (
        WorkerProcess(tmp_path, redis_url, APP, queue="q") as worker,
        SchedulerProcess(tmp_path, redis_url, lease=1),
    ):
        wait_until(lambda: redis.hget(key("stats", "q"), "succeeded") == b"1", 30)
        assert worker.stop() == 0
    first, second = failures(worker)
    assert (first["id"], first["name"], first["attempts"]) == (handle.id, "failed_twice", 2)
    assert re.search("KeyError", first["traceback"])
    assert (second["name"], second["attempts"]) == ("alert_twice", 1)
    assert second["args"] == [first] and "the alarm is broken" in second["error"]
    assert redis.hgetall(key("stats", "q"))[b"dead"] == b"2"
    client.close()


def test_the_callback_runs_in_its_own_queue_with_the_headers_of_the_task(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    client = FluxQueue(redis_url)

    @client.task(queue="alerts")
    def alert(failure: Failure) -> None: ...

    @client.task(queue="q", max_retries=0, on_failure=alert)
    def failed() -> None: ...

    failed.options(headers={"tenant": "7"}).enqueue()
    with WorkerProcess(tmp_path, redis_url, APP, queue="q") as worker:
        wait_until(lambda: redis.llen(key("pending", "alerts")) == 1)
        assert worker.stop() == 0
    [raw] = redis.lrange(key("pending", "alerts"), 0, -1)
    assert json.loads(raw)["headers"] == {"tenant": "7"}
    client.close()


def test_arguments_that_are_too_large_for_a_second_message_are_left_out(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    client = FluxQueue(redis_url, max_message_bytes=100_000)

    @client.task(queue="q", max_retries=0, on_failure="alert")
    def failed(text: str) -> None: ...

    failed("x" * 99_800)
    with WorkerProcess(
        tmp_path, redis_url, APP, queue="q", variables={"FLUXQUEUE_MAX_MESSAGE_BYTES": "100000"}
    ) as worker:
        wait_until(lambda: redis.hget(key("stats", "q"), "succeeded") == b"1", 30)
        assert worker.stop() == 0
    [failure] = failures(worker)
    assert failure["args"] is None and "KeyError" in failure["traceback"]
    client.close()
