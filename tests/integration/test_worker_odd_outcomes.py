"""A real worker with tasks that raise and return odd things: each is a failure of its task,
and the worker goes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from redis import Redis
from support.odd_exceptions import ODD
from support.raw_messages import dead, push
from support.worker_process import WorkerProcess, wait_until

APP = """
import asyncio, collections, concurrent.futures, dataclasses, functools, gc, itertools, warnings
from types import coroutine
from support.odd_exceptions import ODD

# Warnings that nothing awaited a coroutine come from its destructor.
def unraisable(found):
    note(f"unraisable {found.exc_value!r} in {found.object!r}")
sys.unraisablehook = unraisable
warnings.simplefilter("error", RuntimeWarning)

@fluxqueue.task()
def fail(name):
    raise ODD[name]()

@fluxqueue.task()
async def fail_async(name):
    raise ODD[name]()

@fluxqueue.task()
async def fail_later(name):
    await asyncio.sleep(0)
    raise ODD[name]()

@fluxqueue.task(timeout=0.2)
def fail_late(name):
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        raise ODD[name]()

@fluxqueue.task(timeout=0.2)
async def fail_late_async(name):
    try:
        await asyncio.sleep(60)
    except BaseException:
        raise ODD[name]()

def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def as_async(function):
    wrapper = logged(function)
    async def outer(*args, **kwargs):
        return wrapper(*args, **kwargs)
    return functools.wraps(function)(outer)

class Later:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()

class OddLater(Later):
    @property
    def __class__(self):
        raise ConnectionError("the other side is gone")

async def work(*args):
    note("work ran")

def rows():
    note("rows ran")
    yield 1

async def async_rows():
    note("async_rows ran")
    yield 1

@coroutine
def old_style():
    note("old_style ran")
    yield

def half_run():
    def closed():
        try:
            yield 1
        finally:
            note("generator closed")
    generator = closed()
    next(generator)
    return generator

def never_closed():
    def refuses():
        while True:
            try:
                yield 1
            except GeneratorExit:
                pass
    generator = refuses()
    next(generator)
    return generator

def in_itself():
    found = [1]
    found += [found, found, [work()]]
    return found

Pair = collections.namedtuple("Pair", "a b")
Record = dataclasses.make_dataclass("Record", ["a", "b"])

class OwnList(list):
    def __iter__(self):
        raise ConnectionError("the other side is gone")

RETURNS = {
    "coroutine": work,
    "partial": lambda: functools.partial(work)(),
    "decorated": logged(work),
    "generator": rows,
    "async generator": async_rows,
    "old coroutine": old_style,
    "expression": lambda: (work() for _ in range(3)),
    "map": lambda: map(note, ["mapped"]),
    "half run": half_run,
    "never closed": never_closed,
    "awaitable": Later,
    "odd awaitable": OddLater,
    "list": lambda: [1, None, work(), work()],
    "tuple": lambda: (work(),),
    "dict": lambda: {"a": work()},
    "nested": lambda: {"a": [(work(),)]},
    "in itself": in_itself,
    "named tuple": lambda: Pair(1, work()),
    "ordered": lambda: collections.OrderedDict(a=work()),
    "default": lambda: collections.defaultdict(list, {"a": [work()]}),
    "own list": lambda: OwnList([work()]),
    "deque": lambda: collections.deque([work()]),
    "values": lambda: {1: work()}.values(),
    "star map": lambda: itertools.starmap(note, [("mapped",)]),
    "pool": concurrent.futures.Future,
    "slice": lambda: itertools.islice(rows(), 3),
    "chain": lambda: itertools.chain.from_iterable(rows() for _ in range(2)),
    "zip": lambda: zip([1], map(note, ["mapped"])),
    "deferred": lambda: functools.partial(work, 1),
    "record": lambda: Record(1, work()),
}

@fluxqueue.task()
def give(name):
    return RETURNS[name]()

@fluxqueue.task()
async def give_async(name):
    return RETURNS[name]()

@fluxqueue.task()
@logged
async def decorated(name):
    await work()

@fluxqueue.task()
@as_async
async def decorated_as_async(name):
    await work()

@fluxqueue.task()
@logged
def generator(name):
    yield from rows()

FUTURES = {
    "task": lambda: asyncio.get_running_loop().create_task(asyncio.sleep(60)),
    "gather": lambda: asyncio.gather(asyncio.sleep(60)),
    "call of a task": lambda: give_async("coroutine"),
}

@fluxqueue.task()
async def give_future(name):
    return FUTURES[name]()

@fluxqueue.task()
async def give_finished(name):
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    finished = work("finished")
    await finished
    return [future, finished] if name == "list" else future

@fluxqueue.task()
async def called(name):
    note(f"called {name}")

@fluxqueue.task()
def give_call(name):
    return called(name)

@fluxqueue.task()
def good(name):
    gc.collect()
    note("good")
    return {"a": [1, "b", None]}

class Undead:
    def __del__(self):
        raise SystemExit("in __del__")

@fluxqueue.task()
def leave_behind(name):
    undead = Undead()
    return undead

@fluxqueue.task()
def bury_with(name):
    undead = Undead()
    raise ValueError(undead)
"""

FOR_BOTH = [
    *("coroutine", "partial", "decorated", "generator", "async generator", "old coroutine"),
    *("expression", "map", "half run", "never closed", "awaitable", "odd awaitable"),
    *("list", "tuple", "dict", "nested", "in itself", "pool"),
    *("named tuple", "ordered", "default", "own list", "deque", "values", "star map"),
    *("slice", "chain", "zip", "deferred", "record"),
]
TRACED = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
# Where the module with the exceptions is.
FINDS_SUPPORT = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("variables", [{}, TRACED], ids=["plain", "traced"])
def test_whatever_a_task_raises_is_its_failure_and_the_worker_goes_on(
    tmp_path: Path, redis_url: str, redis: Redis, variables: dict[str, str]
) -> None:
    kinds = ("fail", "fail_async", "fail_later")
    bad = {push(redis, kind, name, max_retries=0): name for name in ODD for kind in kinds}
    for name in ("__class__", "__traceback__", "everything raises", "SystemExit"):
        bad |= {
            push(redis, kind, name, max_retries=0): name
            for kind in ("fail_late", "fail_late_async")
        }
    good = [push(redis, "good", "") for _ in range(10)]

    with WorkerProcess(
        tmp_path, redis_url, "import sys" + APP, variables=FINDS_SUPPORT | variables
    ) as worker:
        worker.wait_for("task.done", count=len(good))
        wait_until(lambda: len(dead(redis)) == len(bad))
        assert worker.stop() == 0

    found = dead(redis)
    assert {task_id: bad[task_id] for task_id in found} == bad
    assert {entry["reason"] for entry in found.values()} == {"failed"}
    assert all(entry["error"] and entry["traceback"] for entry in found.values())
    assert worker.named("worker.failed") == worker.named("worker.settling_failed") == []


def test_a_result_that_still_has_to_run_is_a_failure_that_says_so(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    bad = {
        **{
            push(redis, kind, name, max_retries=0): name
            for name in FOR_BOTH
            for kind in ("give", "give_async")
        },
        **{
            push(redis, kind, "x", max_retries=0): kind
            for kind in ("decorated", "decorated_as_async", "generator")
        },
        **{
            push(redis, "give_future", name, max_retries=0): name
            for name in ("task", "gather", "call of a task")
        },
    }
    fine = {push(redis, "give_finished", name) for name in ("list", "future")}
    fine.add(push(redis, "leave_behind", ""))
    fine.add(push(redis, "give_call", "once"))
    undead = push(redis, "bury_with", "", max_retries=0)

    with WorkerProcess(tmp_path, redis_url, "import sys" + APP, variables=FINDS_SUPPORT) as worker:
        wait_until(lambda: len(dead(redis)) == len(bad) + 1)
        worker.wait_for("task.done", name="called")
        worker.wait_for("task.done", count=len(fine) + 1)
        # It collects garbage.
        fine.add(push(redis, "good", ""))
        worker.wait_for("task.done", count=len(fine) + 1)
        assert worker.stop() == 0

    found = dead(redis)
    assert found.pop(undead)["error"].startswith("ValueError: <app.Undead object")
    assert found.keys() == bad.keys()
    texts = {entry["error"] for entry in found.values()}
    assert all(text.startswith("TypeError: the task returned ") for text in texts)
    assert any("the generator rows(), whose code nothing runs" in text for text in texts)
    assert any("a list with the coroutine work(), which nothing runs" in text for text in texts)
    assert any("the awaitable of the class app.Later, which" in text for text in texts)
    assert any("a dict with the coroutine work(), which" in text for text in texts)
    assert any("a zip with the generator of the class builtins.map, whose" in t for t in texts)
    assert any("the partial of work(), which nothing calls" in text for text in texts)
    assert any("a Record with the coroutine work(), which nothing" in text for text in texts)
    assert any("Future, which has not succeeded; call its result()" in text for text in texts)
    done = [line for line in worker.named("task.done") if line["name"] != "called"]
    assert {line["task_id"] for line in done} == fine
    assert worker.named("worker.failed") == worker.named("worker.settling_failed") == []
    # No body ran, and there were no warnings but that of the call that nothing awaited. Only
    # two destructors raise, and a generator that can't be closed.
    expected = ("in __del__", "ignored GeneratorExit", "the call was not awaited")
    notes = [text for text in worker.notes() if not any(part in text for part in expected)]
    assert [line for line in worker.lines if line.get("logger") == "asyncio"] == []
    assert sorted(notes) == sorted(
        ["called once", *["generator closed"] * 2, "good", *["work ran"] * 2]
    )
