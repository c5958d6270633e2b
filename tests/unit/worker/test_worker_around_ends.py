"""Attempts inside of middleware that were given up, and that errors of others do not stay."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from fluxqueue import Middleware, TaskTimeout
from fluxqueue.middleware import AsyncAttemptSteps, Attempt, AttemptOutcome, AttemptSteps
from fluxqueue_worker.eventloop import EventLoop
from fluxqueue_worker.outcomes import Outcomes
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.log_lines import Lines

Run = Callable[..., Any]


class Keeps(Middleware):
    """Has the outcome in a local variable."""

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        outcome = yield
        assert outcome.status

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        outcome = yield
        assert outcome.status


class Noted(Exception):
    """Known to a test as long as it lives."""

    alive: ClassVar[weakref.WeakSet[Noted]] = weakref.WeakSet()

    def __init__(self) -> None:
        super().__init__()
        self.alive.add(self)


class Late(Middleware):
    def attempt(self, attempt: Attempt) -> AttemptSteps:
        yield
        raise Noted


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fail() -> None:
    raise Noted


async def fail_async() -> None:
    await asyncio.sleep(0)
    raise Noted


def work() -> None: ...


async def work_async() -> None: ...


@pytest.mark.parametrize("func", [fail, fail_async, work, work_async])
def test_an_error_is_forgotten_with_its_attempt(
    func: Any, run: Run, consumer: FakeConsumer, without_collector: None
) -> None:
    assert run(func, Keeps(), Late(), Keeps())[0] == "retry"
    consumer.outcomes.clear()
    # A thread forgets an attempt when it has the next one.
    run(work)
    run(work_async)
    assert not Noted.alive


def test_a_success_stays_one_if_the_worker_cuts_its_middleware_off(
    make: Callable[..., Any],
    consumer: FakeConsumer,
    outcomes: Outcomes,
    loop: EventLoop,
    lines: Lines,
) -> None:
    waits, seen = threading.Event(), list[str]()

    class Slow(Middleware):
        async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
            seen.append((yield).status)
            if attempt.args:
                waits.set()
                await asyncio.sleep(3600)

    async def work_async(*seconds: int) -> None: ...

    task = make(work_async, Slow(), Slow())
    attempt: Any = FakeAttempt(task, [1])
    consumer.put(attempt)
    for _ in range(2):
        assert waits.wait(30)
        waits.clear()
        outcomes.cancelling.add(attempt)
        assert loop.cancel(attempt)
    consumer.wait_for(lambda: attempt.settled)
    assert consumer.outcome(attempt)[0] == "succeed"
    assert [line["error"] for line in lines.named("task.middleware_failed")] == [
        "middleware Slow: asyncio.exceptions.CancelledError"
    ] * 2
    later = FakeAttempt(task)
    consumer.put(later)
    consumer.wait_for(lambda: later.settled)
    assert consumer.outcome(later)[0] == "succeed"
    assert seen == ["succeeded"] * 4


def test_a_task_that_ends_after_all_shows_what_was_decided(
    make: Callable[..., Any], consumer: FakeConsumer, outcomes: Outcomes
) -> None:
    began, leave, seen = threading.Event(), threading.Event(), list[AttemptOutcome]()
    noted = threading.Event()

    class Audit(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            seen.append((yield))
            noted.set()

    def stuck() -> None:
        began.set()
        leave.wait(30)

    attempt: Any = FakeAttempt(make(stuck, Audit(), max_retries=0), max_retries=0)
    consumer.put(attempt)
    assert began.wait(30)
    outcomes.gave_up(attempt, TaskTimeout("too long"), 0.0)
    assert consumer.outcome(attempt)[0] == "make_dead"
    assert seen == []
    leave.set()
    assert noted.wait(30)
    assert [outcome.status for outcome in seen] == ["dead"]
    assert isinstance(seen[0].error, TaskTimeout)
