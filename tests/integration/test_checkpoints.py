"""A task goes on from its last checkpoint, whatever ended the attempt before: real workers."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.raw_messages import dead, delayed, pending, promote_all, push
from support.scheduler_process import SchedulerProcess
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio
from fluxqueue import Snooze

@fluxqueue.task_with_context(retry_delay=60)
def rows(ctx: Context, how):
    at = ctx.last_checkpoint or 0
    note(f"from {at}")
    ctx.checkpoint(at + 1)
    assert ctx.last_checkpoint == at + 1
    if at < 2:
        if how == "snooze":
            raise Snooze(delay=60)
        raise ValueError("not yet")

@fluxqueue.task_with_context()
def hold(ctx: Context, kind):
    note(f"from {ctx.last_checkpoint}")
    if ctx.last_checkpoint is None:
        for number in range(1000):
            ctx.checkpoint({"kind": kind, "row": number})
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task_with_context()
async def hold_async(ctx: Context, kind):
    note(f"from {ctx.last_checkpoint}")
    if ctx.last_checkpoint is None:
        ctx.checkpoint({"kind": kind, "row": 999})
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)

@fluxqueue.task_with_context(max_retries=0)
def large(ctx: Context, size):
    ctx.checkpoint("x" * (size - 2))
"""

LAST = {"kind": "k", "row": 999}


def held(redis: Redis) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in redis.scan_iter(key("claimed", "default", "*")):
        values: Any = redis.hvals(name)
        found += [json.loads(raw) for raw in values]
    return found


@pytest.mark.parametrize("how", ["fail", "snooze"])
def test_the_next_attempt_goes_on_at_the_checkpoint(
    tmp_path: Path, redis_url: str, redis: Redis, how: str
) -> None:
    push(redis, "rows", how)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for number in (1, 2):
            wait_until(lambda: len(delayed(redis)) == 1)
            waiting: Any = redis.zrange(key("delayed", "default"), 0, -1)
            (raw,) = waiting
            assert json.loads(raw)["checkpoint"] == number
            promote_all(redis)
        worker.wait_for("task.done")
        assert worker.notes() == ["from 0", "from 1", "from 2"]
        assert worker.stop() == 0
    # Nothing outlives the task.
    assert held(redis) == [] and not redis.exists(key("pending", "default"))


@pytest.mark.parametrize("name", ["hold", "hold_async"])
def test_a_checkpoint_outlives_a_killed_worker(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    task_id = push(redis, name, "k")
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        wait_until(lambda: [each.get("checkpoint") for each in held(redis)] == [LAST])
        worker.signal(signal.SIGKILL)
        worker.wait()
    (tmp_path / "open").touch()
    with (
        SchedulerProcess(tmp_path, redis_url, lease=2),
        WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker,
    ):
        worker.wait_for("task.done", task_id=task_id)
        assert worker.stop() == 0
    assert worker.notes() == ["from None", f"from {LAST}"]


@pytest.mark.parametrize("name", ["hold", "hold_async"])
def test_a_checkpoint_outlives_a_drain(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    push(redis, name, "k")
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0) as worker:
        wait_until(lambda: len(worker.notes()) == 1)
        wait_until(lambda: [each.get("checkpoint") for each in held(redis)] == [LAST])
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert len(pending(redis)) == 1
    (tmp_path / "open").touch()
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done")
        assert worker.stop() == 0
    assert worker.notes() == ["from None", f"from {LAST}"]


def test_a_checkpoint_has_a_limit(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    good, bad = (push(redis, "large", size, retries=3) for size in (65_536, 65_537))
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done", task_id=good)
        worker.wait_for("task.dead", task_id=bad)
        wait_until(lambda: len(dead(redis)) == 1)
        assert worker.stop() == 0
    assert "the checkpoint has 65537 bytes as JSON, more than 65536" in dead(redis)[bad]["error"]


def test_a_message_with_its_checkpoint_stays_within_the_limit(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    bad = push(redis, "large", 1_000, retries=3)
    url = f"{redis_url}?max_message_bytes=1000"
    with WorkerProcess(tmp_path, url, APP) as worker:
        worker.wait_for("task.dead", task_id=bad)
        wait_until(lambda: len(dead(redis)) == 1)
        assert worker.stop() == 0
    assert "more than max_message_bytes of this worker allows (1000)" in dead(redis)[bad]["error"]
