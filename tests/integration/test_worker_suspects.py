"""The suspects' lane: poison dies alone, in a child of the worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fluxqueue_core import key
from redis import Redis
from support.raw_messages import push
from support.worker_process import WorkerProcess, wait_until

APP = """
@fluxqueue.task()
def where(text):
    note(f"{text} {os.getpid()} {os.getppid()}")

@fluxqueue.task()
async def where_async(text):
    note(f"{text} {os.getpid()} {os.getppid()}")

@fluxqueue.task()
def poison():
    os.kill(os.getpid(), 9)

@fluxqueue.task()
def hold():
    note(f"hold {os.getpid()} {os.getppid()}")
    while not os.path.exists("open"):
        time.sleep(0.01)
    note("held")
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Still there, or a zombie that was not collected.
    return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_suspects_run_in_a_child_that_ends_when_there_are_no_more(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        push(redis, "where", "sync", deliveries=2)
        push(redis, "where_async", "async", deliveries=2)
        worker.wait_for("task.done", count=2)
        child = worker.wait_for("suspects.started")["pid"]
        worker.wait_for("suspects.ended", pid=child)
        assert worker.stop() == 0
    for note in worker.notes():
        _, pid, parent = note.split()
        assert (int(pid), int(parent)) == (child, worker.pid)
    assert redis.llen(key("suspects", "default")) == 0


def test_poison_kills_the_child_only_and_the_next_child_goes_on(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        push(redis, "poison", deliveries=2)
        push(redis, "where", "innocent", deliveries=2)
        died = worker.wait_for("suspects.died")
        assert died["code"] == -signal.SIGKILL
        worker.wait_for("task.done")
        assert worker.process.poll() is None
        (innocent,) = worker.notes()
        assert int(innocent.split()[1]) not in (died["pid"], worker.pid)
        assert worker.stop() == 0


def test_a_drain_waits_for_the_lane(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        push(redis, "hold", deliveries=2)
        wait_until(worker.notes)
        child = worker.named("suspects.started")[0]["pid"]
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining", running=1)  # the child's own line
        assert worker.process.poll() is None
        (tmp_path / "open").touch()
        assert worker.wait() == 0
        assert gone(child)
    assert worker.notes()[-1] == "held"


def test_at_the_deadline_the_lane_gives_its_task_back(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, lease=2, drain_timeout=0.5) as worker:
        push(redis, "hold", deliveries=2)
        wait_until(worker.notes)
        child = worker.named("suspects.started")[0]["pid"]
        assert worker.stop() == 0
        assert gone(child)
    assert redis.llen(key("suspects", "default")) == 1, worker.output()


def test_the_lane_ends_when_its_parent_is_killed(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, lease=2) as worker:
        push(redis, "hold", deliveries=2)
        wait_until(worker.notes)
        child = worker.named("suspects.started")[0]["pid"]
        worker.kill()
        (tmp_path / "open").touch()
        wait_until(lambda: gone(child), what="the end of the lane")
    # Its task has ended well: the child drains.
    assert worker.notes()[-1] == "held", worker.output()
    assert redis.llen(key("suspects", "default")) == 0
