"""Middleware around calls that raises, skips its `yield` or sets bad headers."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import suppress
from typing import Any

import pytest
from fluxqueue import ConfigurationError, FluxQueueWarning, Middleware
from fluxqueue.middleware import AsyncEnqueueSteps, EnqueueCall, EnqueueSteps
from redis import Redis
from support.audited_calls import (
    Declare,
    Tenant,
    call,
    sent,
)


class Broken(Middleware):
    def __init__(self, where: str, error: BaseException) -> None:
        self.where, self.error = where, error

    def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
        if self.where == "before":
            raise self.error
        if self.where == "no yield":
            return
        yield
        if self.where == "two":
            yield
        raise self.error


class AsyncBroken(Broken):
    async def enqueue_async(self, call: EnqueueCall) -> AsyncEnqueueSteps:
        if self.where == "before":
            raise self.error
        if self.where == "no yield":
            return
        yield
        if self.where == "two":
            yield
        raise self.error


BROKEN = pytest.mark.parametrize("kind", [Broken, AsyncBroken])


@BROKEN
@pytest.mark.parametrize("error", [ValueError("bad"), TypeError("bad"), RuntimeError("bad")])
@pytest.mark.parametrize("way", ["call", "await", "many", "many_async"])
def test_an_error_before_the_yield_is_raised_and_nothing_is_enqueued(
    declare: Declare, redis: Redis, kind: type[Broken], error: Exception, way: str
) -> None:
    outer = Tenant()
    add = declare(outer, kind("before", error), is_async=True)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(add, way)
    assert caught.value is error
    assert any(f"middleware {kind.__name__} raised this" in note for note in error.__notes__)
    assert sent(redis) == []
    assert [outcome.error for outcome in outer.outcomes] == [error]


@BROKEN
@pytest.mark.parametrize("where", ["after", "two"])
@pytest.mark.parametrize("way", ["call", "await", "many", "many_async"])
def test_an_error_after_the_yield_is_a_warning(
    declare: Declare, redis: Redis, kind: type[Broken], where: str, way: str
) -> None:
    outer = Tenant()
    add = declare(outer, kind(where, ValueError("bad")), is_async=True)
    with pytest.warns(FluxQueueWarning, match=r"failed after a call of task 'add_async'") as caught:
        call(add, way)
    (message,) = sent(redis)
    (found,) = [each for each in caught if each.category is FluxQueueWarning]
    assert f"is in Redis as {message['id']}" in str(found.message)
    assert [outcome.is_new for outcome in outer.outcomes] == [True]


@BROKEN
@pytest.mark.parametrize("way", ["call", "await", "many", "many_async"])
@pytest.mark.parametrize("error", [asyncio.CancelledError(), FluxQueueWarning("an error here")])
def test_an_end_that_is_stopped_stops_no_other_middleware(
    declare: Declare, redis: Redis, kind: type[Broken], error: BaseException, way: str
) -> None:
    outer = Tenant()
    add = declare(outer, kind("after", error), is_async=True)
    with warnings.catch_warnings(), suppress(type(error)):
        warnings.simplefilter("error")
        call(add, way)
    assert [outcome.task_id for outcome in outer.outcomes] == [each["id"] for each in sent(redis)]
    assert [outcome.is_new for outcome in outer.outcomes] == [True]


def test_all_calls_of_a_chunk_end_if_the_end_of_one_is_stopped(
    declare: Declare, redis: Redis
) -> None:
    outer = Tenant()
    add = declare(outer, AsyncBroken("after", KeyboardInterrupt()), is_async=True)
    with pytest.raises(KeyboardInterrupt):
        add.enqueue_many([(1, 2), (3, 4)])
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(add.enqueue_many_async([(1, 2), (3, 4)]))
    assert [outcome.task_id for outcome in outer.outcomes] == [each["id"] for each in sent(redis)]


@BROKEN
@pytest.mark.parametrize("way", ["call", "await", "many", "many_async"])
def test_a_middleware_can_not_skip_acall(
    declare: Declare, redis: Redis, kind: type[Broken], way: str
) -> None:
    add = declare(kind("no yield", ValueError()), is_async=True)
    with pytest.raises(RuntimeError, match="returned before its yield"):
        call(add, way)
    assert sent(redis) == []


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1, TypeError, "strings only"),
        ("x" * 20_000, ConfigurationError, "at most 32"),
        ("\ud800", ConfigurationError, "surrogate"),
    ],
)
def test_a_bad_header_is_refused(
    declare: Declare, redis: Redis, value: Any, error: type[Exception], text: str
) -> None:
    class Bad(Middleware):
        def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
            call.headers["bad"] = value
            yield

    add = declare(Bad(), is_async=True)
    for way in ("call", "await", "many", "many_async"):
        with pytest.raises(error, match=text) as caught:
            call(add, way)
        assert "middleware has set" in caught.value.__notes__[0]
    assert sent(redis) == []
