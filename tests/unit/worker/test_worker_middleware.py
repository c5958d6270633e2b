"""A middleware's view of an attempt, the order of several, and the cost of none."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fluxqueue import Context
from fluxqueue_worker import eventloop
from fluxqueue_worker.error_text import own_frame
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.middleware import Run, Runnable, Settle
from fluxqueue_worker.outcome import Dead, Outcome, Released, Retried, Succeeded
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.threads import ThreadPool
from support.fake_consumer import FakeAttempt, FakeConsumer

Record = Callable[..., Any]


class Watching:
    """A middleware that writes down what passes it."""

    def __init__(self, name: str, seen: list[tuple[str, object]]) -> None:
        self._name = name
        self._seen = seen

    def around_run(self, task: Runnable, run: Run) -> Run:
        @own_frame
        def watched(attempt: Any, thread_storage: dict[str, Any]) -> Any:
            self._seen.append((f"{self._name} runs", attempt))
            return run(attempt, thread_storage)

        return watched

    def around_settle(self, settle: Settle) -> Settle:
        def watched(attempt: Any, outcome: Outcome) -> bool:
            counts = settle(attempt, outcome)
            self._seen.append((f"{self._name} settled", type(outcome)))
            return counts

        return watched


@pytest.fixture
def seen() -> list[tuple[str, object]]:
    return []


@pytest.fixture
def middleware(seen: list[tuple[str, object]]) -> list[Watching]:
    return [Watching("outer", seen), Watching("inner", seen)]


@pytest.fixture
def wrapped(consumer: FakeConsumer, events: TaskEvents, middleware: list[Watching]) -> Outcomes:
    return Outcomes(consumer, events, middleware)


@contextmanager
def serving(consumer: FakeConsumer, outcomes: Outcomes, events: TaskEvents) -> Iterator[None]:
    """Threads and an event loop."""
    crashes: list[BaseException] = []
    pool = ThreadPool(consumer, outcomes, events, crashes.append)
    loop = eventloop.EventLoop(consumer, outcomes, events, crashes.append)
    pool.start_thread()
    loop.start()
    yield
    consumer.drain()
    assert pool.join(10) and loop.stop(10)
    assert not crashes


@pytest.fixture
def works(consumer: FakeConsumer, wrapped: Outcomes, events: TaskEvents) -> Iterator[None]:
    with serving(consumer, wrapped, events):
        yield


def add(one: int, other: int = 0) -> None:
    assert (one, other) == (1, 2)


async def add_async(one: int, other: int = 0) -> None:
    await asyncio.sleep(0)
    assert (one, other) == (1, 2)


def store(ctx: Context, number: int) -> None:
    ctx.thread_storage["number"] = number
    assert ctx.metadata.task_id.startswith("id-")


@pytest.mark.parametrize("func", [add, add_async, store], ids=lambda func: func.__name__)
def test_the_first_middleware_is_outermost(
    func: Callable[..., Any],
    consumer: FakeConsumer,
    middleware: list[Watching],
    seen: list[tuple[str, object]],
    works: None,
    record: Record,
) -> None:
    task = record(func, context=func is store)
    task.prepare(None, middleware)
    attempt = FakeAttempt(task, [1], None if func is store else {"other": 2})
    consumer.put(attempt)
    consumer.wait_settled(1)
    assert consumer.outcome(attempt) == ("succeed", ())
    consumer.wait_for(lambda: len(seen) == 4)
    assert seen == [
        ("outer runs", attempt),
        ("inner runs", attempt),
        ("inner settled", Succeeded),
        ("outer settled", Succeeded),
    ]


def fail() -> None:
    raise ValueError("bad")


async def fail_async() -> None:
    raise ValueError("bad")


@pytest.mark.parametrize("func", [fail, fail_async], ids=lambda func: func.__name__)
@pytest.mark.parametrize(
    ("retries", "kind", "event"), [(0, Retried, "task.retry"), (3, Dead, "task.dead")]
)
def test_a_middleware_sees_failures_and_is_not_in_their_tracebacks(
    func: Callable[..., Any],
    retries: int,
    kind: type[Outcome],
    event: str,
    consumer: FakeConsumer,
    middleware: list[Watching],
    seen: list[tuple[str, object]],
    works: None,
    record: Record,
    lines: Any,
) -> None:
    task = record(func)
    task.prepare(None, middleware)
    attempt = FakeAttempt(task, retries=retries)
    consumer.put(attempt)
    consumer.wait_for(lambda: bool(lines.named(event)))
    assert seen[2:] == [("inner settled", kind), ("outer settled", kind)]
    (line,) = lines.named(event)
    _, frame, _ = line["exception"].split("\n", 2)
    assert frame.endswith(f"in {func.__name__}")


def test_a_middleware_sees_what_is_given_back(
    consumer: FakeConsumer,
    wrapped: Outcomes,
    seen: list[tuple[str, object]],
    record: Record,
) -> None:
    one, other = FakeAttempt(record(add)), FakeAttempt(record(add))
    wrapped.release(one, 0.0)  # type: ignore[arg-type]
    wrapped.released(other, 0.0)  # type: ignore[arg-type]
    assert consumer.outcomes == [(one, "release", ())]
    assert seen == [("inner settled", Released), ("outer settled", Released)] * 2


def test_a_message_with_a_timeout_runs_behind_the_middleware(
    middleware: list[Watching], seen: list[tuple[str, object]], record: Record
) -> None:
    class Watch:
        def guard(self, func: Callable[..., Any], timeout: float) -> Callable[..., Any]:
            def guarded(*args: Any) -> Any:
                seen.append(("guarded", timeout))
                return func(*args)

            return guarded

    task = record(lambda: "result", name="nothing")
    task.prepare(Watch(), middleware)
    limited = task.with_timeout(1.5)
    attempt = FakeAttempt(limited)
    assert limited.run(attempt, {}) == "result"
    assert seen == [("outer runs", attempt), ("inner runs", attempt), ("guarded", 1.5)]


@pytest.mark.parametrize(("wins", "guarded"), [(False, [60.0]), (True, [60.0, 1.5])])
def test_the_timeout_of_a_call_replaces_that_of_the_code(
    record: Record, wins: bool, guarded: list[float]
) -> None:
    guards: list[float] = []
    inner: list[Any] = []

    class Watch:
        def guard(self, func: Callable[..., Any], timeout: float) -> Callable[..., Any]:
            guards.append(timeout)
            inner.append(func)
            return lambda: func()

    task = record(add, timeout=60.0)
    task.prepare(Watch())
    limited = task.with_timeout(1.5, wins)
    assert (limited is task, limited.timeout) == (not wins, guarded[-1])
    assert guards == guarded
    # One guard is not around another.
    assert all(func is inner[0] for func in inner)


def test_without_middleware_the_loops_call_the_plain_functions(
    consumer: FakeConsumer, outcomes: Outcomes, record: Record
) -> None:
    task = record(add)
    task.prepare(None)
    assert task.run is None and task.func is inspect.unwrap(add)
    assert outcomes.succeed == consumer.succeed
