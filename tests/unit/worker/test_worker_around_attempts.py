"""The application's middleware around attempts: its order, what it sees, and that nothing it does
keeps an outcome from Redis."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import Middleware, Reject, Retry, Snooze
from fluxqueue.middleware import (
    AsyncAttemptSteps,
    Attempt,
    AttemptSteps,
    EnqueueCall,
    EnqueueSteps,
)
from fluxqueue_worker.outcomes import Outcomes
from support.audited import (
    AUDITS,
    BOTH,
    BOTH_FAIL,
    Audit,
    work,
    work_async,
)
from support.fake_consumer import FakeAttempt, FakeConsumer

Record = Callable[..., Any]
Run = Callable[..., tuple[str, tuple[Any, ...]]]


@BOTH
def test_the_first_is_outermost(func: Any, run: Run) -> None:
    seen: list[str] = []

    class Named(Middleware):
        def __init__(self, name: str) -> None:
            self.name = name

        def attempt(self, attempt: Attempt) -> AttemptSteps:
            seen.append(f"{self.name} begins")
            outcome = yield
            seen.append(f"{self.name} sees {outcome.status}")

    for _ in range(3):
        seen.clear()
        assert run(func, Named("outer"), Named("inner")) == ("succeed", ())
        assert seen == [
            "outer begins",
            "inner begins",
            "inner sees succeeded",
            "outer sees succeeded",
        ]


@BOTH
def test_a_middleware_sees_the_task_and_the_facts(
    func: Any, make: Callable[..., Any], consumer: FakeConsumer
) -> None:
    seen: list[Attempt] = []

    class Look(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            attempt.kwargs["number"] = 3  # a copy
            seen.append(attempt)
            yield

    attempt = FakeAttempt(make(func, Look()), [], {"number": 2}, headers={"tenant": "a"}, retries=1)
    consumer.put(attempt)
    consumer.wait_for(lambda: attempt.settled)
    (shown,) = seen
    assert (shown.task_name, shown.queue, shown.args) == ("task", "default", ())
    assert (shown.kwargs, shown.is_async) == ({"number": 2}, func is work_async)
    assert (shown.metadata.task_id, shown.metadata.retries) == (attempt.task_id, 1)
    assert shown.metadata.headers == {"tenant": "a"}
    assert shown.metadata is shown.metadata


@AUDITS
@BOTH_FAIL
def test_a_middleware_sees_the_delay_that_is_settled(
    func: Any, kind: type[Audit], run: Run
) -> None:
    audit = kind()
    what, (delay,) = run(func, audit)
    assert (what, audit.statuses) == ("retry", ["retried"])
    (outcome,) = audit.outcomes
    assert outcome.delay == delay
    assert str(outcome.error) == "bad" and outcome.is_failure and not outcome.is_final


@AUDITS
@BOTH_FAIL
def test_a_dead_task_has_its_reason(func: Any, kind: type[Audit], run: Run) -> None:
    audit = kind()
    what, (reason, error, _) = run(func, audit, no_retry_on=ValueError)
    assert (what, reason, error) == ("make_dead", "no_retry_on", "ValueError: bad")
    assert (audit.statuses, audit.outcomes[0].reason) == (["dead"], "no_retry_on")
    assert audit.outcomes[0].is_final


@BOTH_FAIL
def test_the_function_retry_is_asked_once(func: Any, run: Run) -> None:
    asked: list[int] = []

    def ask(attempt: int, error: BaseException) -> float:
        asked.append(attempt)
        return 7.0

    audit = Audit()
    assert run(func, audit, Audit(), retry=ask) == ("retry", (7.0,))
    assert (asked, audit.outcomes[0].delay) == ([1], 7.0)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Snooze("later", delay=5), "snoozed", "later"),
        (Retry(delay=3), "retried", None),
        (Reject("no"), "dead", "rejected"),
        (SystemExit(1), "retried", None),
        (KeyboardInterrupt(), "retried", None),
        (StopIteration("end"), "retried", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_exception_has_its_outcome(
    is_async: bool, error: BaseException, status: str, reason: str | None, run: Run
) -> None:
    def end() -> None:
        raise error

    async def end_async() -> None:
        raise error

    audit = Audit()
    run(end_async if is_async else end, audit)
    assert (audit.statuses, audit.outcomes[0].reason) == ([status], reason)


def test_arguments_that_do_not_fit_are_an_outcome(
    make: Callable[..., Any], consumer: FakeConsumer
) -> None:
    audit = Audit()
    attempt = FakeAttempt(make(work, audit), [1, 2, 3])
    consumer.put(attempt)
    consumer.wait_for(lambda: attempt.settled)
    assert (audit.statuses, audit.outcomes[0].reason) == (["dead"], "arguments")


@BOTH
def test_a_context_variable_reaches_the_task_and_ends_with_the_attempt(func: Any, run: Run) -> None:
    tenant = contextvars.ContextVar("tenant", default="none")
    seen: list[str] = []

    class Bind(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            token = tenant.set("a")
            yield
            seen.append(tenant.get())
            tenant.reset(token)

    def read() -> None:
        seen.append(tenant.get())

    async def read_async() -> None:
        await asyncio.sleep(0)
        seen.append(tenant.get())

    run(read_async if func is work_async else read, Bind())
    run(read_async if func is work_async else read)
    assert seen == ["a", "a", "none"]


def test_an_async_method_is_only_for_async_tasks(run: Run) -> None:
    class Which(Middleware):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def attempt(self, attempt: Attempt) -> AttemptSteps:
            self.seen.append("attempt")
            yield

        async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
            self.seen.append("attempt_async")
            yield

    which = Which()
    run(work, which)
    run(work_async, which)
    assert which.seen == ["attempt", "attempt_async"]


def test_middleware_around_calls_only_costs_an_attempt_nothing(
    make: Callable[..., Any],
) -> None:
    class Calls(Middleware):
        def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
            yield

    assert make(work, Calls()).run is None


@BOTH
def test_a_result_that_has_to_run_is_a_failure_for_the_middleware(func: Any, run: Run) -> None:
    def lazy() -> Any:
        return (each for each in [1])

    async def lazy_async() -> Any:
        return (each for each in [1])

    audit = Audit()
    what, _ = run(lazy_async if func is work_async else lazy, audit)
    assert (what, audit.statuses) == ("retry", ["retried"])


@pytest.mark.parametrize("is_async", [False, True])
def test_an_attempt_that_was_given_back_is_seen_so(
    is_async: bool, make: Callable[..., Any], outcomes: Outcomes
) -> None:
    async def end() -> None: ...

    audit = Audit()
    attempt: Any = FakeAttempt(make(end if is_async else work, audit))
    outcomes.released(attempt, 0.0)
    run = attempt.task.run(attempt, {})
    if is_async:
        with pytest.raises(StopIteration):
            run.send(None)
    assert audit.statuses == ["released"]


def test_many_attempts_at_once_do_not_share_their_steps(
    make: Callable[..., Any], consumer: FakeConsumer
) -> None:
    seen: dict[int, list[str]] = {}

    class Note(Middleware):
        def attempt(self, attempt: Attempt) -> AttemptSteps:
            (number,) = attempt.args
            seen[number] = [f"{number} begins"]
            outcome = yield
            seen[number].append(f"{number} {outcome.status}")

    async def either(number: int) -> None:
        await asyncio.sleep(0.001 * (number % 3))
        if number % 2:
            raise ValueError("odd")

    task = make(either, Note())
    attempts = [FakeAttempt(task, [number]) for number in range(50)]
    consumer.put(*attempts)
    consumer.wait_settled(50)
    ends = {0: "succeeded", 1: "retried"}
    assert seen == {n: [f"{n} begins", f"{n} {ends[n % 2]}"] for n in range(50)}
