"""Annotated arguments reach a real worker as their types; a message that does not fit is
dead at once, and no log line has its value."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from fluxqueue import Context, FluxQueue
from fluxqueue_core import key
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

class Colour(Enum):
    RED = "red"

@dataclass
class Line:
    product: UUID
    price: Decimal

def types(*values):
    note(" ".join(type(value).__name__ for value in values))

@fluxqueue.task()
def sync(when: datetime, line: Line, colour: Colour | None = None):
    types(when, line, line.product, line.price, colour)

@fluxqueue.task(timeout=30)
def limited(when: datetime, *more: timedelta, **rest: Decimal):
    types(when, *more, *rest.values())

@fluxqueue.task(max_retries=5)
async def on_loop(lines: list[Line]):
    types(*lines)

@fluxqueue.task_with_context()
async def with_context(ctx: Context, ident: UUID):
    types(ctx, ident)

@fluxqueue.task()
def plain(when, line):
    types(when, line)
"""


def declared(redis_url: str) -> dict[str, Any]:
    """Returns the tasks of `APP`, as an application that only enqueues declares them."""
    module: dict[str, Any] = {"fluxqueue": FluxQueue(redis_url), "note": None, "Context": Context}
    exec(compile(APP, "app", "exec", dont_inherit=True), module)
    return module


NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
ID = UUID("01a229ce-5f85-79b1-bdb9-aa602614c724")


def test_arguments_arrive_as_their_types(tmp_path: Path, redis_url: str) -> None:
    app = declared(redis_url)
    line = app["Line"](ID, Decimal("1.10"))

    async def call() -> None:
        await app["on_loop"]([line, line])
        await app["with_context"].enqueue_async(ident=ID)
        await app["on_loop"].enqueue_many_async([([line],)])

    app["sync"](NOW, line, app["Colour"].RED)
    app["sync"].enqueue(when=NOW, line=line)
    app["sync"].enqueue_many([(NOW, line), {"when": NOW, "line": line}])
    app["limited"](NOW, dt.timedelta(days=1), tip=Decimal(1))
    app["plain"](NOW, {"line": 1})
    asyncio.run(call())
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.done", count=9)
        assert sorted(worker.notes()) == sorted(
            [
                "datetime Line UUID Decimal Colour",
                *["datetime Line UUID Decimal NoneType"] * 3,
                "datetime timedelta Decimal",
                "str dict",
                "Line Line",
                "Context UUID",
                "Line",
            ]
        )
        assert worker.stop() == 0


def test_a_message_that_does_not_fit_is_dead_without_a_retry(
    tmp_path: Path, redis_url: str, redis: Any
) -> None:
    other = FluxQueue(redis_url)  # an application whose tasks have no annotations

    @other.task()
    def sync(when: Any, line: Any) -> None: ...

    @other.task()
    async def on_loop(lines: Any) -> None: ...

    sync("a secret", {"product": str(ID), "price": "1"})
    sync(when=NOW, line={"product": str(ID)})
    on_loop.enqueue([{"product": "a secret", "price": "1"}])
    sync(NOW, {"product": ID, "price": "1.10", "new_field": 5})
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        worker.wait_for("task.dead", count=3, reason="arguments")
        worker.wait_for("task.done")
        errors = [line["error"] for line in worker.named("task.dead")]
        assert worker.named("task.retry") == []
        assert worker.stop() == 0
        written = worker.output()
    assert worker.notes() == ["datetime Line UUID Decimal NoneType"]
    assert sum("argument when is annotated datetime.datetime" in error for error in errors) == 1
    assert sum("argument line is annotated app.Line" in error for error in errors) == 1
    assert sum("argument lines is annotated list[app.Line]" in error for error in errors) == 1
    assert "secret" not in written
    reasons = redis.hvals(key("dead:reasons", "default"))
    assert len(reasons) == 3
    assert not any(b"secret" in reason for reason in reasons)


def test_the_worker_names_an_annotation_that_it_can_not_resolve(
    tmp_path: Path, redis_url: str
) -> None:
    app = """
@fluxqueue.task()
def work(order: "Missing", number: int):
    note(order)
"""
    queue = FluxQueue(redis_url)

    @queue.task()
    def work(order: str, number: int) -> None: ...

    work("as it was", 1)
    with WorkerProcess(tmp_path, redis_url, app) as worker:
        worker.wait_for_output("'order' can't be resolved (name 'Missing' is not defined)")
        wait_until(lambda: worker.notes() == ["as it was"])
        assert worker.stop() == 0


SLOW_APP = """
import pydantic
from datetime import datetime

class Endless(pydantic.BaseModel):
    text: str

    @pydantic.field_validator("text")
    @classmethod
    def check(cls, text):
        while text == "endless":
            pass
        return text

@fluxqueue.task(max_retries=0, timeout=0.2)
def slow(value: Endless): ...

@fluxqueue.task_with_context(max_retries=0, timeout=30)
def context_and_value(ctx: Context, when: datetime):
    note(f"{type(ctx).__name__} {type(when).__name__}")
"""


def test_a_timeout_includes_the_conversion(tmp_path: Path, redis_url: str) -> None:
    other = FluxQueue(redis_url)  # an application without the validator

    @other.task(max_retries=0)
    def slow(value: Any) -> None: ...

    @other.task()
    def context_and_value(when: Any) -> None: ...

    slow({"text": "endless"})
    context_and_value(NOW)
    with WorkerProcess(tmp_path, redis_url, SLOW_APP) as worker:
        worker.wait_for("task.dead")
        (dead,) = worker.named("task.dead")
        assert dead["name"] == "slow"
        assert dead["reason"] == "failed"
        assert "TaskTimeout" in dead["error"]
        worker.wait_for("task.done")
        assert worker.notes() == ["Context datetime"]
        assert worker.stop() == 0
