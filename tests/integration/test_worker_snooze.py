"""A real worker process on a real Redis: tasks that put themselves off, and tasks that
drains cut off."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.raw_messages import dead, delayed, pending, promote_all, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio
from fluxqueue import Context, Snooze

def put_off(how):
    if how == "plain":
        raise Snooze("not ready", delay=120)
    if how == "cause":
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise Snooze(delay=60) from error
    if how == "group":
        raise ExceptionGroup("both", [Snooze(delay=30), Snooze(delay=90)])
    if how == "mixed":
        raise ExceptionGroup("both", [Snooze(delay=30), ValueError("failed")])

@fluxqueue.task(max_snoozes=2, retry_delays=[7], jitter=False)
def wait_for(how):
    put_off(how)

@fluxqueue.task(max_snoozes=2, retry_delays=[7], jitter=False)
async def wait_for_async(how):
    put_off(how)

@fluxqueue.task_with_context()
def count(ctx: Context):
    data = ctx.metadata
    note(f"{data.retries} {data.snoozes} {data.lost_workers} {data.releases}")
    if data.snoozes < 3:
        raise Snooze(delay=0)
    if data.retries < 1:
        raise ValueError

@fluxqueue.task()
def hold():
    note("begin")
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task()
async def hold_async():
    note("begin")
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)
"""


def opts(parts: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = json.loads(parts["opts"] or b"{}")
    return found


@pytest.mark.parametrize("name", ["wait_for", "wait_for_async"])
@pytest.mark.parametrize(("how", "delay"), [("plain", 120), ("cause", 60), ("group", 90)])
def test_a_snooze_has_a_limit_and_spends_no_retry(
    tmp_path: Path, redis_url: str, redis: Redis, name: str, how: str, delay: float
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        # It has no retry left, and needs none.
        task_id = push(redis, name, how, retries=3)
        for number in (1, 2):
            line = worker.wait_for("task.snoozed", snoozes=number)
            assert (line["delay"], line["level"]) == (delay, "info")
            wait_until(lambda: len(delayed(redis)) == 1)
            ((parts, _),) = delayed(redis)
            assert (parts["retries"], opts(parts)) == (3, {"s": number})
            promote_all(redis)
        line = worker.wait_for("task.dead")
        assert (line["reason"], line["task_id"]) == ("snoozed_too_often", task_id)
        wait_until(lambda: len(dead(redis)) == 1)
        assert worker.named("task.retry") == []
        if how == "plain":
            assert {each["reason"] for each in worker.named("task.snoozed")} == {"not ready"}


def test_a_failure_beside_a_snooze_decides(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "wait_for", "mixed")
        assert worker.wait_for("task.retry")["delay"] == 7
        assert worker.named("task.snoozed") == []


def test_a_task_sees_its_counts(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """A retry keeps the count of snoozes. A delay of 0 is allowed."""
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "count", deliveries=1)
        for _ in range(4):
            wait_until(lambda: len(delayed(redis)) == 1)
            promote_all(redis)
        worker.wait_for("task.done")
        assert worker.notes() == ["0 0 1 0", "0 1 1 0", "0 2 1 0", "0 3 1 0", "1 3 1 0"]


@pytest.mark.parametrize("name", ["hold", "hold_async"])
def test_a_task_that_drains_cut_off_is_counted_and_seen(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    # Rule 10: nothing is lost, and no retry is spent.
    task_id = push(redis, name)
    for number in (1, 2, 3):
        with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0) as worker:
            wait_until(lambda number=number: len(worker.notes()) == number)  # type: ignore[misc]
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
            line = worker.wait_for("task.released")
            assert line["releases"] == number
            assert ("drain_timeout" in line.get("hint", "")) == (number == 3)
        (parts,) = pending(redis)
        assert (parts["task_id"], parts["retries"], opts(parts)) == (task_id, 0, {"b": number})
    (tmp_path / "open").touch()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done")
        wait_until(lambda: redis.hgetall(key("stats", "default")))
    counts: Any = redis.hgetall(key("stats", "default"))
    assert {bytes(name): int(count) for name, count in counts.items()} == {b"succeeded": 1}
