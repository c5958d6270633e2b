"""A real worker: each attempt has its own context, a copy of the worker's."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import push
from support.worker_process import WorkerProcess

APP = """
import asyncio, contextvars, decimal, functools
import structlog
from structlog.contextvars import bind_contextvars, get_contextvars

tenant = contextvars.ContextVar("tenant", default="none")
region = contextvars.ContextVar("region", default="none")

def look():
    third = decimal.Decimal(1) / 3
    flags = decimal.getcontext().flags[decimal.DivisionByZero]
    return f"{tenant.get()} {region.get()} {third} {flags} {get_contextvars()}"

def change(name):
    tenant.set(name)
    region.set(name)
    bind_contextvars(order=name)
    decimal.getcontext().prec = 5
    decimal.getcontext().flags[decimal.DivisionByZero] = True

def changes_first(function):
    @functools.wraps(function)
    def wrapper(name, *args):
        note(f"{name} wrapped {look()}")
        change(name)
        return function(name, *args)
    return wrapper

# A decorator that says that it makes coroutines, as those that keep `async` do.
def marked(function):
    wrapper = changes_first(function)
    if hasattr(inspect, "markcoroutinefunction"):
        return inspect.markcoroutinefunction(wrapper)
    async def outer(*args):
        return await wrapper(*args)
    return functools.wraps(function)(outer)

class Mine(Context):
    def __init__(self, *args):
        super().__init__(*args)
        note(f"made {look()}")
        change("context")

@fluxqueue.task()
def sync(name):
    note(f"{name} {look()}")
    change(name)
    note(f"{name} then {look()}")

@fluxqueue.task()
async def at_once(name):
    note(f"{name} {look()}")
    change(name)
    note(f"{name} then {look()}")

@fluxqueue.task()
async def later(name):
    note(f"{name} {look()}")
    change(name)
    await asyncio.sleep(0)
    await asyncio.create_task(child(name))
    note(f"{name} then {look()}")

async def child(name):
    note(f"{name} child {look()}")

@fluxqueue.task()
@marked
async def wrapped(name):
    note(f"{name} then {look()}")

@fluxqueue.task()
@changes_first
def wrapped_sync(name):
    note(f"{name} then {look()}")

@fluxqueue.task_with_context()
def with_context(ctx: Mine, name):
    note(f"{name} with {tenant.get()}")

@fluxqueue.task_with_context()
async def with_context_async(ctx: Mine, name):
    note(f"{name} with {tenant.get()}")

@fluxqueue.task()
def fails(name):
    note(f"{name} {look()}")
    change(name)
    raise Odd

class Odd(Exception):
    def __str__(self):
        change("odd")
        return tenant.get()
"""
AT_IMPORT = """
region.set("eu")
bind_contextvars(service="shop")
decimal.getcontext().prec = 9
decimal.getcontext().flags[decimal.DivisionByZero] = True
"""
TASKS = (
    *("sync", "at_once", "later", "wrapped", "wrapped_sync", "with_context"),
    *("with_context_async", "fails"),
)


@pytest.mark.parametrize(
    ("at_import", "fresh"),
    [
        ("", "none none 0.3333333333333333333333333333 False {}"),
        ("decimal.Decimal(1) / 3\n", "none none 0.3333333333333333333333333333 False {}"),
        (AT_IMPORT, "none eu 0.333333333 False {'service': 'shop'}"),
    ],
    ids=["as in a new process", "decimal used", "set at import"],
)
def test_no_attempt_finds_what_another_has_set(
    tmp_path: Path, redis_url: str, redis: Redis, at_import: str, fresh: str
) -> None:
    runs = 3
    with WorkerProcess(
        tmp_path, redis_url, "import inspect\n" + APP + at_import, concurrency=1
    ) as worker:
        for number in range(runs):
            for name in TASKS:
                push(redis, name, f"{name}{number}", max_retries=0)
        worker.wait_for("task.done", count=runs * (len(TASKS) - 1))
        worker.wait_for("task.dead", count=runs, error="app.Odd: odd")
        assert worker.stop() == 0

    notes = worker.notes()
    for number in range(runs):
        for name in ("sync", "at_once", "later", "fails"):
            assert f"{name}{number} {fresh}" in notes
        for name in ("wrapped", "wrapped_sync"):
            assert f"{name}{number} wrapped {fresh}" in notes
        for name in ("sync", "at_once", "later", "wrapped", "wrapped_sync"):
            (then,) = [text for text in notes if text.startswith(f"{name}{number} then ")]
            assert then.startswith(
                f"{name}{number} then {name}{number} {name}{number} 0.33333 True"
            )
        (then,) = [text for text in notes if text.startswith(f"later{number} child ")]
        assert then.startswith(f"later{number} child later{number} later{number} 0.33333 True")
        for name in ("with_context", "with_context_async"):
            assert f"{name}{number} with context" in notes
    assert [text for text in notes if text.startswith("made ")] == [f"made {fresh}"] * 2 * runs


def test_a_suspect_has_its_own_context_too(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, "import inspect\n" + APP) as worker:
        for number in range(2):
            push(redis, "sync", f"sync{number}", deliveries=2)
        worker.wait_for("task.done", count=2)
        assert worker.stop() == 0
    fresh = "none none 0.3333333333333333333333333333 False {}"
    assert {f"sync{number} {fresh}" for number in range(2)} <= set(worker.notes())
