"""The end of a real worker: tasks that run, tasks that wait, and tasks that are stuck."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from redis import Redis
from support.proxy import Proxy, port_of
from support.raw_messages import delayed, pending, push
from support.worker_process import WorkerProcess, wait_until

APP = """
def wait_for_file():
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task()
def hold(text):
    note(f"begin {text}")
    wait_for_file()
    note(f"end {text}")

@fluxqueue.task()
async def hold_async(text):
    import asyncio
    note(f"begin {text}")
    try:
        while not os.path.exists("open"):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        note(f"cancelled {text}")
        raise
    note(f"end {text}")

@fluxqueue.task()
async def stubborn():
    import asyncio
    note("begin")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            note("cancelled")

@fluxqueue.task()
async def block_the_loop():
    note("begin")
    time.sleep(600)

@fluxqueue.task()
def linger():
    threading.Thread(target=wait_for_file).start()
    note("begin")
"""


def counts(redis: Redis) -> list[tuple[int, int]]:
    """Of what waits: (retries, deliveries)."""
    return [(parts["retries"], parts["deliveries"]) for parts in pending(redis)]


def held(redis: Redis) -> list[bytes]:
    """The keys of consumers that hold something."""
    patterns = [key(kind, "default", "*") for kind in ("claimed", "inbox")]
    return [name for pattern in patterns for name in redis.scan_iter(pattern)]


def consumers_alive(redis: Redis) -> list[bytes]:
    """Returns the consumers that are not tombstones."""
    found: Any = redis.zrangebyscore(key("consumers", "default"), 0, "+inf")
    return list(found)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_tasks_end_and_waiting_ones_go_back(
    tmp_path: Path, redis_url: str, redis: Redis, number: signal.Signals
) -> None:
    # Rule 10.
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=2) as worker:
        push(redis, "hold", "sync")
        push(redis, "hold_async", "async")
        wait_until(lambda: len(worker.notes()) == 2)
        waiting = [push(redis, "hold", number) for number in range(5)]
        worker.signal(number)
        worker.wait_for("worker.draining", running=2)
        # Before anything has ended, others can have what waits.
        wait_until(lambda: len(pending(redis)) == 5)
        assert worker.process.poll() is None
        (tmp_path / "open").touch()
        assert worker.wait() == 0
    assert sorted(worker.notes()) == ["begin async", "begin sync", "end async", "end sync"]
    assert {parts["task_id"] for parts in pending(redis)} == set(waiting)
    assert set(counts(redis)) == {(0, 0)}
    assert held(redis) == []
    assert len(worker.named("task.done")) == 2


@pytest.mark.parametrize("how", ["deadline", "second signal"])
def test_running_tasks_go_back_without_a_retry(
    tmp_path: Path, redis_url: str, redis: Redis, how: str
) -> None:
    timeout = 0.2 if how == "deadline" else 600
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=timeout) as worker:
        ids = {push(redis, "hold", "sync"), push(redis, "hold_async", "async")}
        wait_until(lambda: len(worker.notes()) == 2)
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining")
        if how == "second signal":
            worker.signal(signal.SIGTERM)
            worker.wait_for("task.released")
            # One more does not keep it from telling Redis.
            worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert {parts["task_id"] for parts in pending(redis)} == ids
    assert counts(redis) == [(0, 0), (0, 0)]
    assert delayed(redis) == []
    assert held(redis) == []
    assert {line["task_id"] for line in worker.named("task.released")} == ids
    assert "cancelled async" in worker.notes()
    assert worker.named("task.retry") == worker.named("task.dead") == []


def test_a_coroutine_that_ignores_the_cancel_does_not_keep_the_worker(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0) as worker:
        push(redis, "stubborn")
        wait_until(lambda: worker.notes())
        assert worker.stop() == 0
    assert worker.notes()[:2] == ["begin", "cancelled"]
    assert counts(redis) == [(0, 0)]


def test_a_coroutine_that_blocks_the_loop_does_not_keep_the_worker(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0) as worker:
        push(redis, "block_the_loop")
        wait_until(lambda: worker.notes())
        assert worker.stop() == 0
    assert counts(redis) == [(0, 0)]


def test_a_thread_that_a_task_has_left_behind_does_not_keep_the_worker(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "linger")
        worker.wait_for("task.done")
        assert worker.stop() == 0


def test_an_idle_worker_ends_at_once_and_leaves_nothing(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("worker.connected")
        assert worker.stop(timeout=10) == 0  # far below the deadline of the drain
    assert held(redis) == []
    assert consumers_alive(redis) == []


def test_without_redis_a_worker_that_holds_nothing_drains_at_once(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, "redis://127.0.0.1:1/0", APP, drain_timeout=600) as worker:
        worker.wait_for("worker.disconnected")
        assert worker.stop() == 0
    assert worker.named("worker.not_drained") == []


def test_a_redis_that_answers_no_more_keeps_no_worker_that_holds_nothing(
    tmp_path: Path, redis_url: str
) -> None:
    """No event tells it that its time is over: the attempt to connect does not end."""
    port, database = port_of(redis_url)
    options = {"connect_timeout": 60, "timeout": 60}
    with Proxy(port) as proxy:
        url = f"{proxy.url}/{database}?{urlencode(options)}"
        with WorkerProcess(tmp_path, url, APP, lease=60) as worker:
            worker.wait_for("worker.connected")
            proxy.black_hole = True
            # Far less than it takes to give up the attempt, or to renew a lease.
            assert worker.stop(timeout=12) == 0
        assert worker.named("worker.not_drained") == []


def test_without_redis_a_worker_that_holds_a_task_says_so_at_the_deadline(tmp_path: Path) -> None:
    server = EmbeddedRedis()
    server.start()
    with server, WorkerProcess(tmp_path, server.url, APP, drain_timeout=0.2) as worker:
        with Redis.from_url(server.url) as redis:
            push(redis, "hold", "sync")
        wait_until(worker.notes)
        server.stop()
        worker.wait_for("worker.disconnected")
        assert worker.stop() == 0
    worker.wait_for("worker.not_drained")


def test_sigquit_shows_stacks_and_running_tasks_and_the_worker_goes_on(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        ids = {push(redis, "hold", "sync"), push(redis, "hold_async", "async")}
        wait_until(lambda: len(worker.notes()) == 2)
        worker.signal(signal.SIGQUIT)
        worker.wait_for("task.running", count=2)
        assert {line["task_id"] for line in worker.named("task.running")} == ids
        (coroutine,) = worker.named("task.running", name="hold_async")
        assert "in hold_async" in coroutine["exception"]
        worker.wait_for_output("in wait_for_file")
        (tmp_path / "open").touch()
        worker.wait_for("task.done", count=2)
        assert worker.stop() == 0
