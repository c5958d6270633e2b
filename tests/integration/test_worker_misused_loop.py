"""A real worker whose tasks change the event loop and the process that they run in."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import dead, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio, gc, signal, sys, weakref

def quits(*_):
    raise SystemExit("not of a task")

def interrupts(*_):
    raise KeyboardInterrupt

def junk(loop, coroutine, **options):
    coroutine.close()
    return "no task"

class Mine(asyncio.Task):
    pass

def mine(loop, coroutine, **options):
    return Mine(coroutine, loop=loop, **options)

def loop():
    return asyncio.get_running_loop()

async def raises_at_the_end(error):
    try:
        await asyncio.sleep(60)
    finally:
        if error is None:
            loop().stop()
        else:
            raise error

kept = []

def leaves(error):
    kept.append(asyncio.create_task(raises_at_the_end(error)))

def replaces_call_soon():
    own = loop().call_soon
    vars(loop())["call_soon"] = lambda *args, **kwargs: own(*args, **kwargs)

def restores_call_soon():
    del vars(loop())["call_soon"]

async def yields():
    yield 1

async def starts_generator():
    generator = yields()
    await anext(generator)
    kept.append(generator)

CHANGES = {
    "factory: junk": lambda: loop().set_task_factory(junk),
    "factory: raises": lambda: loop().set_task_factory(quits),
    "factory: class": lambda: loop().set_task_factory(mine),
    "factory: eager": lambda: loop().set_task_factory(getattr(asyncio, "eager_task_factory", mine)),
    "debug": lambda: loop().set_debug(True),
    "no debug": lambda: loop().set_debug(False),
    "handler": lambda: loop().set_exception_handler(quits),
    "error": lambda: loop().call_soon(lambda: 1 / 0),
    "quit": lambda: loop().call_soon(quits),
    "interrupt": lambda: loop().call_soon(interrupts),
    "stop": lambda: loop().stop(),
    "stop soon": lambda: loop().call_soon(loop().stop),
    "call_soon": replaces_call_soon,
    "no call_soon": restores_call_soon,
    "no loop": lambda: asyncio.set_event_loop(None),
    "leave quit": lambda: leaves(SystemExit("left behind")),
    "leave interrupt": lambda: leaves(KeyboardInterrupt()),
    "leave error": lambda: leaves(ValueError("left behind")),
    "leave stop": lambda: leaves(None),
    "hooks": lambda: [setattr(sys, "excepthook", quits), setattr(threading, "excepthook", quits)],
    "gc": gc.disable,
    "directory": lambda: os.chdir("/"),
}
FORBIDDEN = {
    "close": lambda: loop().close(),
    "run": lambda: loop().run_until_complete(asyncio.sleep(0)),
    "run forever": lambda: loop().run_forever(),
    "signal": lambda: signal.signal(signal.SIGTERM, quits),
    "signal handler": lambda: loop().add_signal_handler(signal.SIGTERM, quits),
}

@fluxqueue.task()
async def change(name):
    CHANGES[name]()

@fluxqueue.task()
async def forbidden(name):
    FORBIDDEN[name]()

@fluxqueue.task()
async def leave_generator():
    await starts_generator()

@fluxqueue.task()
async def fine(text):
    assert type(asyncio.current_task()) is asyncio.Task
    await asyncio.sleep(0)
    note(text)

@fluxqueue.task()
def fine_sync(text):
    note(text)
"""
WITHOUT_UVLOOP = "import sys\nsys.modules['uvloop'] = None\n"
CHANGES = (
    *("call_soon", "factory: junk", "no call_soon", "factory: raises", "debug", "handler"),
    *("factory: class", "error", "quit", "interrupt", "no debug", "factory: eager", "stop"),
    *("stop soon", "no loop", "hooks", "gc", "directory", "leave quit", "leave interrupt"),
    *("leave error", "leave stop"),
)
FORBIDDEN = ("close", "run", "run forever", "signal", "signal handler")


@pytest.mark.parametrize("first", ["", WITHOUT_UVLOOP], ids=["uvloop", "asyncio"])
def test_tasks_that_change_the_loop_neither_end_the_worker_nor_hinder_others(
    tmp_path: Path, redis_url: str, redis: Redis, first: str
) -> None:
    if not first:
        pytest.importorskip("uvloop")
    with WorkerProcess(tmp_path, redis_url, first + APP, concurrency=1) as worker:
        expected = []
        for name in CHANGES:
            push(redis, "change", name)
            for kind in ("fine", "fine_sync"):
                expected.append(f"{kind} after {name}")
                push(redis, kind, expected[-1])
        push(redis, "leave_generator")
        bad = {push(redis, "forbidden", name, max_retries=0) for name in FORBIDDEN}
        wait_until(lambda: dead(redis).keys() == bad)
        worker.wait_for("task.done", count=3 * len(CHANGES) + 1)
        stopped = worker.named("worker.loop_stopped")
        assert worker.stop() == 0
    assert sorted(worker.notes()) == sorted(expected)
    assert worker.named("worker.failed") == worker.named("worker.settling_failed") == []
    assert len(stopped) == 2
    assert stopped[0]["error"].startswith("a task called `stop` of the worker's event loop")


def test_a_forbidden_call_says_so_in_the_dead_set(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        closes = push(redis, "forbidden", "close", max_retries=0)
        signals = push(redis, "forbidden", "signal", max_retries=0)
        wait_until(lambda: len(dead(redis)) == 2)
        assert worker.stop() == 0
    assert dead(redis)[closes]["error"] == "RuntimeError: Cannot close a running event loop"
    assert "only works in main thread" in dead(redis)[signals]["error"]
