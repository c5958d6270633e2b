"""The application's middleware around attempts: its order, what it sees, and that nothing it does
keeps an outcome from Redis."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import Middleware, Reject, Retry, Snooze
from fluxqueue.middleware import (
    AsyncAttemptSteps,
    Attempt,
    AttemptOutcome,
    AttemptSteps,
    EnqueueCall,
    EnqueueSteps,
)
from fluxqueue_worker.outcomes import Outcomes
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.log_lines import Lines

Record = Callable[..., Any]
Run = Callable[..., tuple[str, tuple[Any, ...]]]


def work(number: int = 1) -> int:
    return number


async def work_async(number: int = 1) -> int:
    await asyncio.sleep(0)
    return number


def fail() -> None:
    raise ValueError("bad")


async def fail_async() -> None:
    await asyncio.sleep(0)
    raise ValueError("bad")


BOTH = pytest.mark.parametrize("func", [work, work_async], ids=["sync", "async"])
BOTH_FAIL = pytest.mark.parametrize("func", [fail, fail_async], ids=["sync", "async"])


class Audit(Middleware):
    """Notes the outcomes that it sees."""

    def __init__(self) -> None:
        self.outcomes: list[AttemptOutcome] = []

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        self.outcomes.append((yield))

    @property
    def statuses(self) -> list[str]:
        return [outcome.status for outcome in self.outcomes]


class AsyncAudit(Audit):
    """The same, around async tasks by an async generator."""

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        await asyncio.sleep(0)
        outcome = yield
        await asyncio.sleep(0)
        self.outcomes.append(outcome)


AUDITS = pytest.mark.parametrize("kind", [Audit, AsyncAudit])


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
