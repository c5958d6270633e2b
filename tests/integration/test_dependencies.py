"""Dependencies of tasks in a real worker: their outcomes, their end in a drain, and timeouts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from redis import Redis
from support.raw_messages import pending, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio
from typing import Annotated
from fluxqueue import Depends, Shared, TaskMetadata

@fluxqueue.lifespan
def settings():
    note(f"settings begin {os.getpid()}")
    yield "settings"
    note("settings end")

@fluxqueue.lifespan
async def client(settings: Annotated[str, Shared(settings)]):
    note("client begin")
    yield f"client of {settings}"
    await asyncio.sleep(0)
    note("client end")

def pool(settings=Shared(settings)):
    note("pool begin")
    yield "pool"
    note("pool end")

def session(pool=Shared(pool)):
    try:
        yield f"session of {pool}"
    except BaseException as error:
        note(f"session sees {type(error).__name__}")
        raise
    finally:
        note("session end")

def who(metadata: TaskMetadata) -> str:
    return metadata.task_id

@fluxqueue.task(retry_delay=0.05)
def work(number: int, session: str = Depends(session), who: str = Depends(who)):
    note(f"work {number} {session} {len(who)}")

@fluxqueue.task()
async def work_async(number: int, client: str = Shared(client), session: str = Depends(session)):
    await asyncio.sleep(0)
    note(f"work_async {number} {client} {session}")

@fluxqueue.task()
def hold(session: str = Depends(session)):
    note("hold")
    while not os.path.exists("open"):
        time.sleep(0.01)
    note("held")

@fluxqueue.task()
async def hold_async(session: str = Depends(session)):
    note("hold")
    await asyncio.sleep(600)

@fluxqueue.task(timeout=0.2, max_retries=0)
async def late_async(session: str = Depends(session)):
    await asyncio.sleep(600)

@fluxqueue.task(timeout=0.2, max_retries=0)
def late(session: str = Depends(session)):
    while True:
        time.sleep(0.01)

def slow():
    time.sleep(0.3)

@fluxqueue.task(timeout=0.1, max_retries=0)
def late_dependency(session: str = Depends(session), value=Depends(slow)):
    note("never")

def broken():
    raise ConnectionError("database is down")

@fluxqueue.task(max_retries=0)
def fails(session: str = Depends(session), value=Depends(broken)):
    note("never")

@fluxqueue.task()
def forks(session: str = Depends(session)):
    if os.fork():
        os.wait()
        note("parent")

@fluxqueue.task()
async def forks_async(session: str = Depends(session)):
    forks.func(session)

def rolls_back():
    yield
    raise OSError("commit failed")

@fluxqueue.task(max_retries=0)
def fails_at_the_end(value=Depends(rolls_back)):
    note("done")
"""
BEGINNING = ["client begin"]


def started(worker: WorkerProcess) -> list[str]:
    """The notes after those of the beginning."""
    begin, *rest = worker.notes()
    assert begin == f"settings begin {worker.process.pid}"
    assert rest[:1] == BEGINNING
    return rest[1:]


def test_tasks_use_dependencies_which_end_in_order(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "work", 1)
        worker.wait_for("task.done", name="work")
        push(redis, "work_async", 2)
        worker.wait_for("task.done", name="work_async")
        assert worker.stop() == 0
    assert started(worker) == [
        "pool begin",
        "work 1 session of pool 36",
        "session end",
        "work_async 2 client of settings session of pool",
        "session end",
        "client end",
        "pool end",
        "settings end",
    ]


@pytest.mark.parametrize(
    ("name", "error", "notes"),
    [
        ("late_async", "TaskTimeout", ["session sees CancelledError", "session end"]),
        ("late", "TaskTimeout", ["session sees TaskTimeout", "session end"]),
        ("late_dependency", "TaskTimeout", ["session sees TaskTimeout", "session end"]),
        ("fails", "ConnectionError", ["session sees ConnectionError", "session end"]),
        ("fails_at_the_end", "OSError", ["done"]),
    ],
)
def test_a_failure_of_a_dependency_is_one_of_the_attempt(
    tmp_path: Path, redis_url: str, redis: Redis, name: str, error: str, notes: list[str]
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, name, max_retries=0)
        line = worker.wait_for("task.dead", name=name)
        assert worker.stop() == 0
    assert error in line["error"]
    assert line["exception"].split("\n")[1].strip().startswith(f'File "{tmp_path}')
    assert [note for note in started(worker) if "pool" not in note][:-2] == notes


def test_a_drain_waits_for_the_task_and_ends_everything_after_it(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "hold")
        wait_until(lambda: "hold" in worker.notes())
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining", running=1)
        assert "client end" not in worker.notes()
        (tmp_path / "open").touch()
        assert worker.wait() == 0
    assert started(worker)[1:] == [
        *("hold", "held", "session end"),
        *("client end", "pool end", "settings end"),
    ]


def test_an_async_task_that_is_given_back_ends_its_dependencies(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0.1) as worker:
        task_id = push(redis, "hold_async")
        wait_until(lambda: "hold" in worker.notes())
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert [parts["task_id"] for parts in pending(redis)] == [task_id]
    assert started(worker)[2:] == [
        *("session sees CancelledError", "session end"),
        *("client end", "pool end", "settings end"),
    ]


def test_a_cancelled_task_ends_its_dependencies(
    tmp_path: Path, redis_url: str, client: FluxQueue
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for name, error in (("hold", "CancelRequested"), ("hold_async", "CancelledError")):
            handle = client.declare(name).enqueue()
            wait_until(lambda: worker.notes()[-1:] == ["hold"])
            handle.cancel()
            worker.wait_for("task.cancelled", name=name)
            assert worker.notes()[-2:] == [f"session sees {error}", "session end"]
        assert worker.stop() == 0


def test_a_message_with_a_value_of_a_dependency_is_parked(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        push(redis, "work", 1, kwargs={"session": "mine"})
        line = worker.wait_for("task.dead", name="work")
        assert worker.stop() == 0
    assert line["reason"] == "arguments"
    assert "work" not in str(started(worker))


def test_sigquit_shows_where_a_task_with_dependencies_waits(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0.1) as worker:
        push(redis, "hold_async")
        wait_until(lambda: "hold" in worker.notes())
        worker.signal(signal.SIGQUIT)
        line: dict[str, Any] = worker.wait_for("task.running", name="hold_async")
        assert worker.stop() == 0
    assert "in hold_async" in line["exception"]


def test_a_process_that_a_task_forks_ends_no_dependency(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for name in ("forks", "forks_async"):
            push(redis, name)
            worker.wait_for("task.done", name=name)
        assert worker.stop() == 0
    assert started(worker) == [
        *("pool begin", "parent", "session end", "parent", "session end"),
        *("client end", "pool end", "settings end"),
    ]
