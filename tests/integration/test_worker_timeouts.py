"""Tasks that run for longer than their timeout, in real workers."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from fluxqueue_core.service.probe import get
from redis import Redis
from support.raw_messages import dead, delayed, message, pending, push
from support.worker_process import WorkerProcess, wait_until

ERROR = "fluxqueue_core.errors.TaskTimeout: the task ran for longer than its timeout of 0.2 s"

APP = """
import asyncio
from fluxqueue import TaskTimeout

SOON = dict(timeout=0.2, retry_delay=0.01, retry_max_delay=0.01)

def busy():
    while True:
        pass

def wait():
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task(max_retries=1, **SOON)
def loop():
    note("begin")
    try:
        busy()
    except Exception:
        note("caught")

@fluxqueue.task(max_retries=1, **SOON)
async def sleep():
    note("begin")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        note("cancelled")
        raise

@fluxqueue.task(max_retries=0, **SOON)
def save_and_return():
    try:
        busy()
    except TaskTimeout:
        note("saved")

@fluxqueue.task(max_retries=0, **SOON)
async def save_and_return_async():
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        note("saved")

@fluxqueue.task(max_retries=0, **SOON)
def fail_in_turn():
    try:
        busy()
    finally:
        raise KeyError("clean up")

@fluxqueue.task(max_retries=0, **SOON)
def blocked(text="x"):
    # Waits in the kernel until somebody opens the other end.
    note(f"begin {text}")
    open("fifo").read()
    note(f"end {text}")

@fluxqueue.task(max_retries=0, **SOON)
def stubborn():
    note("begin")
    try:
        wait()
    except TaskTimeout:
        note("swallowed")
        wait()
    note("end")

@fluxqueue.task(max_retries=0, **SOON)
async def stubborn_async():
    note("begin")
    while not os.path.exists("open"):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            note("swallowed")
    note("end")

@fluxqueue.task(max_retries=0, **SOON)
async def block_the_loop():
    note("begin")
    open("fifo").read()

@fluxqueue.task()
def work(text):
    note(f"work {text}")

@fluxqueue.task()
async def work_async(text):
    note(f"work {text}")

@fluxqueue.task(max_retries=0)
def undeclared():
    busy()

@fluxqueue.task()
def hold(text):
    note(f"hold {text}")
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task(timeout=600)
def patient():
    time.sleep(0.3)
    note("end")
"""


@pytest.mark.parametrize("name", ["loop", "sleep"])
def test_a_task_past_its_timeout_is_retried_and_then_dead(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        task_id = push(redis, name, max_retries=1)
        worker.wait_for("task.retry")
        ((waiting, _),) = wait_until(lambda: delayed(redis))
        assert waiting["retries"] == 1
        push(redis, name, retries=1, max_retries=1)
        dead_line = worker.wait_for("task.dead")
        retry_line = worker.wait_for("task.retry", task_id=task_id)
        for line in (dead_line, retry_line):
            assert line["error"] == ERROR
        # The traceback leads to the task's code, without the frames of the worker.
        trace = retry_line["exception"].splitlines()
        assert trace[1].endswith(f"in {name}")
        assert "fluxqueue_worker" not in retry_line["exception"]
        push(redis, "work", "after")
        wait_until(lambda: "work after" in worker.notes())
        assert worker.stop() == 0
    assert worker.notes().count("begin") == 2
    assert worker.notes().count("cancelled") == (2 if name == "sleep" else 0)
    assert "caught" not in worker.notes()
    assert worker.named("task.stuck") == worker.named("task.done", name=name) == []
    assert [entry["error"] for entry in dead(redis).values()] == [ERROR]


@pytest.mark.parametrize("name", ["save_and_return", "save_and_return_async", "fail_in_turn"])
def test_however_it_ends_then_it_has_failed(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, name, max_retries=0)
        line = worker.wait_for("task.dead")
        assert line["error"] == ERROR
        assert ("KeyError: 'clean up'" in line["exception"]) == (name == "fail_in_turn")
        assert worker.stop() == 0
    assert worker.notes() == ([] if name == "fail_in_turn" else ["saved"])


def test_the_timeout_of_a_message_holds_if_the_task_declares_none(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "undeclared", max_retries=0, timeout=0.2)
        push(redis, "patient", timeout=0.2)
        assert worker.wait_for("task.dead")["error"] == ERROR
        wait_until(lambda: "end" in worker.notes())
        assert worker.stop() == 0
    assert worker.named("task.done", name="patient")


def test_a_message_with_a_wrong_timeout_is_parked(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for timeout in (0, -1, 1e18):
            redis.lpush(key("pending", "default"), message("work", "wrong", timeout=timeout))
        worker.wait_for("task.parked", count=3)
        assert worker.stop() == 0
    reasons: Any = redis.hvals(key("dead:reasons", "default"))
    assert [b"its timeout is " in reason for reason in reasons] == [True] * 3
    assert worker.notes() == []


@pytest.mark.parametrize("name", ["stubborn", "stubborn_async"])
def test_a_task_that_swallows_it_is_stuck_and_has_failed_when_it_ends(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    work = "work_async" if name == "stubborn_async" else "work"
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=1, timeout_grace=0.2) as worker:
        push(redis, name, max_retries=0)
        line = worker.wait_for("task.stuck")
        assert line["timeout"] == 0.2
        assert f"in {name}" in line["exception"]
        assert "fluxqueue_worker" not in line["exception"]
        # Its slot goes to others; it keeps its claim.
        push(redis, work, "beside")
        wait_until(lambda: "work beside" in worker.notes())
        assert (dead(redis), pending(redis)) == ({}, [])
        (tmp_path / "open").touch()
        assert worker.wait_for("task.dead")["error"] == ERROR
        assert worker.stop() == 0
    assert worker.notes() == ["begin", "swallowed", "work beside", "end"]
    assert len(worker.named("task.stuck")) == 1
    assert worker.named("task.done", name=name) == []


def test_concurrency_holds_while_tasks_are_stuck_and_afterwards(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=2, timeout_grace=0.1) as worker:
        for text in "ab":
            push(redis, "blocked", text, max_retries=0)
        worker.wait_for("task.stuck", count=2)
        assert "in blocked" in worker.named("task.stuck")[0]["exception"]
        push(redis, "hold", "a")
        push(redis, "work", "beside")
        wait_until(lambda: "work beside" in worker.notes())
        push(redis, "hold", "b")
        wait_until(lambda: {"hold a", "hold b"} <= set(worker.notes()))
        # Both slots are in use now; the end of a stuck task frees none.
        push(redis, "work", "late")
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        worker.wait_for("task.dead", count=2)
        assert {line["error"] for line in worker.named("task.dead")} == {ERROR}

        def running() -> set[str]:
            before = len(worker.named("task.running"))
            worker.signal(signal.SIGQUIT)
            worker.wait_for("task.running", count=before + 2)
            return {line["name"] for line in worker.named("task.running")[before:]}

        # Their last lines come a moment before their threads are free.
        wait_until(lambda: running() == {"hold"})
        assert "work late" not in worker.notes()
        (tmp_path / "open").touch()
        wait_until(lambda: "work late" in worker.notes())
        assert worker.stop() == 0
    assert not [note for note in worker.notes() if note.startswith("end")]


# Traces all threads that start later, as a debugger or coverage does.
TRACED = """
import threading
threading.settrace(lambda frame, event, argument: None)
"""


def test_traced_threads_go_on_beside_a_task_that_is_blocked(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    # CPython 3.11 would hold them at the start of a function: see `clear_flag` in the core.
    os.mkfifo(tmp_path / "fifo")
    with WorkerProcess(tmp_path, redis_url, APP + TRACED, timeout_grace=0.1) as worker:
        push(redis, "blocked", max_retries=0)
        worker.wait_for("task.stuck")
        push(redis, "work", "beside")
        wait_until(lambda: "work beside" in worker.notes())
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        assert worker.wait_for("task.dead")["error"] == ERROR
        assert worker.stop() == 0


def test_a_blocked_loop_holds_async_tasks_up_and_loses_none(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=2, timeout_grace=0.1) as worker:
        push(redis, "block_the_loop", max_retries=0)
        worker.wait_for("task.stuck")
        push(redis, "work_async", "async")
        # Claimed, and given back to workers whose loop is free.
        worker.wait_for("worker.released")
        push(redis, "work", "sync")
        wait_until(lambda: "work sync" in worker.notes())
        assert worker.notes() == ["begin", "work sync"]
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        wait_until(lambda: "work async" in worker.notes())
        assert worker.wait_for("task.dead")["error"] == ERROR
        assert worker.stop() == 0
    assert worker.notes() == ["begin", "work sync", "work async"]
    assert (pending(redis), delayed(redis)) == ([], [])


@pytest.mark.parametrize("name", ["blocked", "block_the_loop"])
def test_max_stuck_replaces_the_process_and_the_attempt_has_failed(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    options: dict[str, Any] = {"timeout_grace": 0.1, "max_stuck": 1, "drain_timeout": 600}
    with WorkerProcess(tmp_path, redis_url, APP, **options) as worker:
        push(redis, name, max_retries=5)
        worker.wait_for("process.ended")
        # Another one takes its place.
        worker.wait_for("worker.started", count=2)
        assert worker.stop() == 0
    assert worker.wait_for("worker.draining")["reason"] == "1 stuck tasks"
    ((waiting, _),) = delayed(redis)
    assert (waiting["retries"], waiting["deliveries"]) == (1, 0)
    assert "could not be interrupted" in worker.wait_for("task.retry")["error"]


def test_a_stuck_suspect_ends_its_lane_with_a_failure_counted(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with WorkerProcess(tmp_path, redis_url, APP, timeout_grace=0.1) as worker:
        push(redis, "blocked", deliveries=2, max_retries=5)
        push(redis, "work", "next", deliveries=2)
        worker.wait_for("task.retry", name="blocked")
        wait_until(lambda: "work next" in worker.notes())
        worker.wait_for("suspects.ended")
        assert worker.stop() == 0
    ((waiting, _),) = delayed(redis)
    assert (waiting["retries"], waiting["deliveries"]) == (1, 2)


@pytest.mark.parametrize("name", ["blocked", "stubborn_async"])
def test_a_drain_does_not_wait_for_what_is_stuck(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    options: dict[str, Any] = {"timeout_grace": 0.1, "drain_timeout": 600}
    with WorkerProcess(tmp_path, redis_url, APP, **options) as worker:
        push(redis, name, max_retries=0)
        worker.wait_for("task.stuck")
        push(redis, "hold", "a")
        wait_until(lambda: "hold a" in worker.notes())
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining", running=1)
        assert worker.process.poll() is None
        push(redis, "work", "left")
        (tmp_path / "open").touch()
        assert worker.wait() == 0
    ((entry),) = dead(redis).values()
    # The coroutine ends by the same file, and may have been quicker.
    assert entry["error"].startswith(ERROR)
    assert [line["name"] for line in worker.named("task.done")] == ["hold"]
    assert [parts["name"] for parts in pending(redis)] == ["work"]


def test_a_timeout_in_the_metrics(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    options: dict[str, Any] = {"timeout_grace": 0.1, "health_port": port}
    variables = {"OTEL_METRICS_EXPORTER": "prometheus"}
    with WorkerProcess(tmp_path, redis_url, APP, variables=variables, **options) as worker:
        push(redis, "loop", max_retries=0)
        push(redis, "sleep", max_retries=0)
        worker.wait_for("task.dead", count=2)
        push(redis, "blocked", max_retries=0)
        worker.wait_for("task.stuck")
        _, metrics = get(port, "/metrics")
        (stuck,) = re.findall(r"^fluxqueue_worker_tasks_stuck.* (\S+)$", metrics, re.MULTILINE)
        assert float(stuck) == 1
        durations = re.findall(
            r"^messaging_process_duration_seconds_count{(.*)} (\S+)$", metrics, re.MULTILINE
        )
        errors = {re.findall(r'error_type="([^"]*)"', labels)[0]: n for labels, n in durations}
        assert errors == {"fluxqueue_core.errors.TaskTimeout": "2.0"}
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        worker.wait_for("task.dead", count=3)
        assert worker.stop() == 0
