"""Middleware of the application that raises, or has no `yield` or two: no outcome is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import Middleware, Snooze
from fluxqueue.middleware import AsyncAttemptSteps, Attempt, AttemptSteps
from support.audited import (
    BOTH,
    BOTH_FAIL,
    Audit,
    fail,
    fail_async,
    work,
    work_async,
)
from support.fake_consumer import FakeConsumer
from support.log_lines import Lines

Run = Callable[..., tuple[str, tuple[Any, ...]]]


class Broken(Middleware):
    """Raises, where it is told to."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.where = where
        self.error = error

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        if self.where == "before":
            raise self.error
        yield
        raise self.error


class AsyncBroken(Broken):
    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        await asyncio.sleep(0)
        if self.where == "before":
            raise self.error
        yield
        await asyncio.sleep(0)
        raise self.error


BROKEN = pytest.mark.parametrize("kind", [Broken, AsyncBroken])
ERRORS = [
    ValueError("bad"),
    SystemExit(1),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    StopIteration(1),
    TypeError("no"),
]


@BOTH
@BROKEN
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_of_a_middleware_fails_the_attempt(
    func: Any, kind: type[Broken], where: str, error: BaseException, run: Run, lines: Lines
) -> None:
    assert run(func, kind(where, error))[0] == "retry"
    (line,) = lines.named("task.retry")
    if isinstance(error, GeneratorExit) and func is work_async:
        return  # it looks as if the coroutine was closed
    raised = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    assert line["error"].startswith(f"middleware {kind.__name__}: ")
    assert f"{raised}: " in line["error"] or line["error"].endswith(raised)


@BOTH
@BROKEN
def test_those_around_a_broken_one_see_the_failure(func: Any, kind: Any, run: Run) -> None:
    outer, inner = Audit(), Audit()
    run(func, outer, kind("after", ValueError("bad")), inner)
    assert (outer.statuses, inner.statuses) == (["retried"], ["succeeded"])
    outer, inner = Audit(), Audit()
    run(func, outer, kind("before", ValueError("bad")), inner)
    assert (outer.statuses, inner.statuses) == (["retried"], [])


@BOTH
def test_the_options_decide_about_the_error_of_a_middleware(func: Any, run: Run) -> None:
    broken = Broken("after", ValueError("bad"))
    what, (reason, error, trace) = run(func, broken, no_retry_on=ValueError)
    assert (what, reason) == ("make_dead", "no_retry_on")
    assert error == "middleware Broken: ValueError: bad"
    first = trace.splitlines()[1]
    assert first.endswith("in attempt") and __name__ in first.replace("/", ".")
    assert run(func, Broken("before", Snooze(delay=9))) == ("snooze", (9.0,))


@BOTH_FAIL
@BROKEN
def test_the_error_of_the_task_wins_and_the_other_is_logged(
    func: Any, kind: Any, run: Run, lines: Lines
) -> None:
    outer = Audit()
    what, (_, error, _) = run(func, outer, kind("after", KeyError("k")), no_retry_on=ValueError)
    assert (what, error) == ("make_dead", "ValueError: bad")
    assert outer.statuses == ["dead"]
    (line,) = lines.named("task.middleware_failed")
    assert line["error"] == f"middleware {kind.__name__}: KeyError: 'k'"
    assert "in attempt" in line["exception"]


class NoYield(Middleware):
    def attempt(self, attempt: Attempt) -> AttemptSteps:
        if attempt.queue != "default":
            yield

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        if attempt.queue != "default":
            yield


class TwoYields(Middleware):
    closed = threading.Event()

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        yield
        try:
            yield
        finally:
            self.closed.set()

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        yield
        try:
            yield
        finally:
            self.closed.set()


@BOTH
def test_a_middleware_can_not_skip_the_task(func: Any, run: Run, lines: Lines) -> None:
    outer = Audit()
    what, _ = run(func, outer, NoYield())
    assert (what, outer.statuses) == ("retry", ["retried"])
    (line,) = lines.named("task.retry")
    assert line["error"].startswith("middleware NoYield: RuntimeError: it returned before")


@BOTH
def test_a_second_yield_is_an_error_and_is_closed(
    func: Any, run: Run, consumer: FakeConsumer, lines: Lines
) -> None:
    TwoYields.closed = threading.Event()
    what, _ = run(func, TwoYields())
    assert what == "retry"
    (line,) = lines.named("task.retry")
    assert line["error"].startswith("middleware TwoYields: RuntimeError: it yields twice")
    assert TwoYields.closed.wait(10)


@pytest.mark.parametrize("func", [work, work_async, fail, fail_async])
def test_a_generator_that_does_not_close_holds_no_outcome(func: Any, run: Run) -> None:
    leave = threading.Event()

    class Hangs(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            yield
            try:
                yield
            finally:
                leave.wait(30)

    try:
        assert run(func, Hangs())[0] == "retry"
    finally:
        leave.set()


@BOTH
def test_a_generator_that_ignores_its_end_does_no_harm(func: Any, run: Run) -> None:
    class Stays(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            for _ in range(3):
                try:
                    yield
                except GeneratorExit:
                    continue

    assert run(func, Stays())[0] == "retry"
    assert run(func, Audit())[0] == "succeed"
