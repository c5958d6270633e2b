"""The task that `on_failure` names is called for each end of the table in docs/protocol.md.

The ends are brought about by real processes.
"""

from __future__ import annotations

import json
import re
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

@fluxqueue.task(queue="q", retry_delays=[0], jitter=False)
def failed_twice():
    raise KeyError("a")
"""
APP = ends.APP + CALLED
CALLBACK = b',"on_failure":{"name":"alert"}'

# Each end, and the members of the failure. None: no callback is called.
ENDS: dict[str, dict[str, Any] | None] = {
    "succeeded": None,
    "cancelled": None,
    "expired": {"error": "it expired before an attempt began", "attempts": 0, "args": [1]},
    "failed": {
        "error": "KeyError: 'a'",
        "args": [1, {"a": None}],
        "kwargs": {"b": 2},
        "attempts": 1,
    },
    "rejected": {"error": "fluxqueue.Reject: why"},
    "no_retry_on": {"error": "KeyError: 'a'", "attempts": 1},
    "not_in_retry_on": {"error": "KeyError: 'a'"},
    "retry_refused": {"error": "KeyError: 'a'"},
    "snoozed_too_often": {"attempts": 1},
    "arguments": {"args": [1, 2], "attempts": 1},
    "worker_lost": {"error": "workers lost while they held the task: 3", "args": [1]},
    "struck": {"args": [1], "attempts": 0},
    "unknown_task": {"args": [1], "attempts": 0},
    # The callback can be read although the message can't.
    "malformed": {"error": "args is not an array", "args": None},
    # Nothing can be known of a message of a later version.
    "unknown_version": None,
}


def calling(end: str) -> bytes:
    """A message with a callback that ends in this way, with the arguments of the failure."""
    expected = ENDS[end] or {}
    members = CALLBACK
    if "kwargs" in expected:
        members = b',"kwargs":' + json.dumps(expected["kwargs"]).encode() + members
    args = json.dumps(expected.get("args", [])).encode()
    return ends.of_end(end, args=args, members=members)


def failures(worker: WorkerProcess) -> list[dict[str, Any]]:
    return [json.loads(note) for note in worker.notes()]


def test_the_table_of_the_protocol_has_these_ends() -> None:
    calls = {end: cells[-1] for end, cells in ends.rows().items()}
    assert set(calls) == set(ENDS)
    for end, failure in ENDS.items():
        assert calls[end].startswith("no" if failure is None else "yes"), end


@pytest.mark.parametrize("end", ENDS)
def test_the_callback_gets_each_end_once(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts, end: str
) -> None:
    expected = ENDS[end]
    redis.sadd(key("queues"), "q")
    ends.bring_about(scripts, end, calling(end))
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
    no_exception = ("expired", "worker_lost", "struck", "unknown_task", "malformed")
    assert bool(failure["traceback"]) == (end not in no_exception)
    if failure["args"] is not None:
        assert failure["kwargs"] == expected.get("kwargs", {})


def test_an_expired_task_tells_its_callback_whether_an_attempt_may_have_begun(
    tmp_path: Path, redis_url: str, redis: Redis, scripts: Scripts
) -> None:
    expired = '"x":1000000000000'
    began: dict[bytes, str] = {
        message(1, opts=f"{{{expired}}}"): "it expired before an attempt began",
        message(2, opts=f"{{{expired}}}", retries=1): "it expired before its next attempt began",
        message(3, opts=f"{{{expired}}}", deliveries=1): "it expired before its next attempt began",
        message(4, opts=f"{{{expired}}}", requeues=1): "it expired before its next attempt began",
        message(5, opts=f'{{{expired},"s":1}}'): "it expired before its next attempt began",
        message(6, opts=f'{{{expired},"b":1}}'): "it expired before its next attempt began",
    }
    scripts.enqueue(*(raw[:-1] + CALLBACK + b"}" for raw in began))
    with WorkerProcess(tmp_path, redis_url, APP, queue="q") as worker:
        wait_until(lambda: redis.hget(key("stats", "q"), "succeeded") == b"6", 30)
        assert worker.stop() == 0
    said = {failure["id"]: failure["error"] for failure in failures(worker)}
    assert said == {raw[13:49].decode(): error for raw, error in began.items()}


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
