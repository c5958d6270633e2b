"""Middleware in a real worker: it sees how each attempt ends, and no outcome is lost."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from fluxqueue import FluxQueue, TaskFailed
from redis import Redis
from support.raw_messages import dead, delayed, pending, promote_all, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio
from fluxqueue import Middleware, Reject

class Audit(Middleware):
    def attempt(self, attempt):
        outcome = yield
        number = attempt.args[0] if attempt.args else ""
        note(f"{attempt.task_name} {number} {outcome.status} {attempt.metadata.retries}")

class AsyncAudit(Audit):
    async def attempt_async(self, attempt):
        await asyncio.sleep(0)
        outcome = yield
        await asyncio.sleep(0)
        number = attempt.args[0] if attempt.args else ""
        note(f"{attempt.task_name} {number} {outcome.status} {attempt.metadata.retries}")

class Late(Middleware):
    def attempt(self, attempt):
        yield
        raise RuntimeError("late")

SOON = dict(retry_delay=0.01, retry_max_delay=0.01)
fluxqueue = FluxQueue(None, middleware=[Audit()])
other = FluxQueue(None, middleware=[AsyncAudit()])

@fluxqueue.task(max_retries=1, **SOON)
def failing(n):
    raise ValueError(n)

@other.task(max_retries=1, **SOON)
async def failing_async(n):
    await asyncio.sleep(0)
    raise ValueError(n)

@fluxqueue.task(timeout=0.2, max_retries=0)
def slow(n):
    while True:
        sum(range(100))

@other.task(timeout=0.2, max_retries=0)
async def slow_async(n):
    await asyncio.sleep(60)

@fluxqueue.task(result_ttl=60)
def double(n):
    return n * 2

@other.task(result_ttl=60)
async def double_async(n):
    await asyncio.sleep(0)
    return n * 2

@fluxqueue.task_with_context(middleware=[Audit()], max_retries=0)
def with_context(ctx: Context, n):
    raise Reject(ctx.metadata.task_id)

@fluxqueue.task(middleware=[Late()], max_retries=1, result_ttl=60, **SOON)
def late(n):
    return n

@other.task(middleware=[Late()], max_retries=1, result_ttl=60, **SOON)
async def late_async(n):
    return n

class Session(Middleware):
    def attempt(self, attempt):
        try:
            yield
        finally:
            note("session end")

class AsyncSession(Middleware):
    async def attempt_async(self, attempt):
        try:
            yield
        finally:
            note("session end")

@fluxqueue.task(middleware=[Session()])
def forks():
    if os.fork():
        os.wait()
        note("parent")

@other.task(middleware=[Session(), AsyncSession()])
async def forks_async():
    forks.func()

@fluxqueue.task()
def held(n):
    note(f"began {n}")
    while not os.path.exists("open"):
        time.sleep(0.01)

@other.task()
async def held_async(n):
    note(f"began {n}")
    await asyncio.sleep(600)
"""


def test_each_way_to_end_is_seen(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    for kind in ("", "_async"):
        push(redis, f"failing{kind}", 1, max_retries=1)
        push(redis, f"slow{kind}", 1, max_retries=0)
        push(redis, f"late{kind}", 1, max_retries=1)
    push(redis, "with_context", 1, max_retries=0)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        wait_until(lambda: len(delayed(redis)) == 4 and len(dead(redis)) == 3)
        promote_all(redis)
        wait_until(lambda: len(dead(redis)) == 7, what="the end of all tasks")
        assert worker.stop() == 0
    assert Counter(worker.notes()) == Counter(
        [
            *("failing 1 retried 0", "failing 1 dead 1"),
            *("failing_async 1 retried 0", "failing_async 1 dead 1"),
            *("slow 1 dead 0", "slow_async 1 dead 0"),
            *("late 1 retried 0", "late 1 dead 1"),
            *("late_async 1 retried 0", "late_async 1 dead 1"),
            *["with_context 1 dead 0"] * 2,
        ]
    )
    errors = {line["name"]: line["error"] for line in worker.named("task.dead")}
    assert errors["late"] == errors["late_async"] == "middleware Late: RuntimeError: late"
    assert "TaskTimeout" in errors["slow"] and "TaskTimeout" in errors["slow_async"]
    traces = {line["name"]: line["exception"] for line in worker.named("task.dead")}
    assert "fluxqueue_worker" not in traces["failing"] + traces["late"] + traces["late_async"]


def test_results_are_kept_inside_of_middleware(tmp_path: Path, redis_url: str) -> None:
    queue = FluxQueue(redis_url)
    tasks = {
        name: queue.declare(name, result_ttl=60, max_retries=0)
        for name in ("double", "double_async", "late", "late_async")
    }
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        assert tasks["double"].enqueue(2).result(timeout=20) == 4
        assert tasks["double_async"].enqueue(3).result(timeout=20) == 6
        for name in ("late", "late_async"):
            with pytest.raises(TaskFailed, match="middleware Late: RuntimeError: late"):
                tasks[name].enqueue(1).result(timeout=20)
        assert worker.stop() == 0
    queue.close()
    assert {"double 2 succeeded 0", "double_async 3 succeeded 0"} < set(worker.notes())


@pytest.mark.parametrize("name", ["held", "held_async"])
def test_a_cancelled_task_is_seen_as_cancelled(tmp_path: Path, redis_url: str, name: str) -> None:
    queue = FluxQueue(redis_url)
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        handle = queue.declare(name).enqueue(1)
        wait_until(lambda: "began 1" in worker.notes())
        handle.cancel()
        worker.wait_for("task.cancelled")
        assert worker.stop() == 0
    queue.close()
    assert worker.notes() == ["began 1", f"{name} 1 cancelled 0"]


def test_a_process_that_a_task_forks_ends_no_middleware(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        for name in ("forks", "forks_async"):
            push(redis, name)
            worker.wait_for("task.done", name=name)
        assert worker.stop() == 0
    assert worker.notes() == [
        *("parent", "session end", "forks  succeeded 0"),
        *("parent", "session end", "session end", "forks_async  succeeded 0"),
    ]


@pytest.mark.parametrize("name", ["held", "held_async"])
def test_a_drain_gives_the_task_back_and_says_so(
    tmp_path: Path, redis_url: str, redis: Redis, name: str
) -> None:
    push(redis, name, 1)
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0.1) as worker:
        wait_until(lambda: "began 1" in worker.notes())
        assert worker.stop() == 0
        worker.wait_for("task.released")
    (message,) = pending(redis)
    assert message["name"] == name
    # The thread of a sync task does not end, and with it nothing of its middleware.
    ends = [f"{name} 1 released 0"] if name == "held_async" else []
    assert worker.notes() == ["began 1", *ends]


def test_the_stack_of_a_stuck_coroutine_shows_the_task(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    push(redis, "held_async", 1)
    with WorkerProcess(tmp_path, redis_url, APP, drain_timeout=0.1) as worker:
        wait_until(lambda: "began 1" in worker.notes())
        worker.process.send_signal(signal.SIGQUIT)
        assert "in held_async" in worker.wait_for("task.running")["exception"]
        assert worker.stop() == 0


CHAIN = """
from contextvars import ContextVar
from fluxqueue import Middleware

tenant = ContextVar("tenant", default="")

class Tenant(Middleware):
    def attempt(self, attempt):
        tenant.set(attempt.metadata.headers.get("tenant", ""))
        yield

    def enqueue(self, call):
        call.headers["tenant"] = tenant.get()
        yield

class AwaitedTenant(Tenant):
    async def enqueue_async(self, call):
        call.headers["tenant"] = tenant.get()
        yield

first = FluxQueue(None, middleware=[Tenant()])
second = FluxQueue(None, middleware=[AwaitedTenant()])

@first.task_with_context()
def show(ctx: Context, name):
    note(f"{name} {ctx.metadata.headers['tenant']}")

@second.task_with_context()
async def show_async(ctx: Context, name):
    note(f"{name} {ctx.metadata.headers['tenant']}")

@first.task()
def chain():
    show("sync")
    show.enqueue_many([("many",)])

@second.task()
async def chain_async():
    await show_async("async")
    await show.enqueue_async("first")
    await show_async.enqueue_many_async([("many_async",)])
"""


def test_a_header_goes_on_to_the_calls_of_a_task(tmp_path: Path, redis_url: str) -> None:
    queue = FluxQueue(redis_url)
    with WorkerProcess(tmp_path, redis_url, CHAIN) as worker:
        for name in ("chain", "chain_async"):
            queue.declare(name).options(headers={"tenant": name}).enqueue()
        wait_until(lambda: len(worker.notes()) == 5)
        assert worker.stop() == 0
    queue.close()
    assert sorted(worker.notes()) == [
        "async chain_async",
        "first chain_async",
        "many chain",
        "many_async chain_async",
        "sync chain",
    ]
