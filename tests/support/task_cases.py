"""Tasks whose outcome must be the same inline and with a real worker: a table of cases.

A case declares its tasks and returns a function that calls them. Its tasks note in `seen` all that
they see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from fluxqueue import (
    Context,
    Depends,
    DuplicateTask,
    Failure,
    FluxQueue,
    Middleware,
    Reject,
    ResultDeadlock,
    ResultNotKept,
    Retry,
    RetryPolicy,
    Shared,
    Snooze,
    TaskHandle,
    TaskMetadata,
)


class Bench:
    """Where one case declares its tasks.

    Attributes:
        seen: what its tasks have noted.
    """

    def __init__(self, queue: FluxQueue, case: str) -> None:
        self.queue = queue
        self.seen: list[Any] = []
        self._case = case

    def task(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        return self._declare(self.queue.task, options)

    def context_task(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        return self._declare(self.queue.task_with_context, options)

    def name(self, name: str) -> str:
        return f"{self._case}.{name}"

    def _declare(self, decorator: Any, options: dict[str, Any]) -> Callable[..., Any]:
        def decorate(func: Callable[..., Any]) -> Any:
            # A function that gives the delays has no jitter.
            jitter = {} if "retry" in options else {"jitter": False}
            given = {"result_ttl": 600.0} | jitter | options
            return decorator(name=self.name(func.__name__), **given)(func)

        return decorate


# Does something with the tasks, and returns the handle whose outcome is compared.
Start = Callable[[], "TaskHandle[Any]"]
Case = Callable[[Bench], Start]
# By name: the state that the task ends in, and the case.
cases: dict[str, tuple[str, Case]] = {}


def case(state: str) -> Callable[[Case], Case]:
    def add(made: Case) -> Case:
        cases[made.__name__] = state, made
        return made

    return add


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    item: str
    price: Decimal


class Unpaid(Exception):
    """An error of the application."""


class Lower(BaseException):
    """An error that is not an Exception."""


variable = ContextVar("variable", default="unset")


# Returning.


@case("succeeded")
def a_def_returns(bench: Bench) -> Start:
    @bench.task()
    def add(one: int, two: int = 2) -> int:
        bench.seen.append((one, two))
        return one + two

    return lambda: add.enqueue(1)


@case("succeeded")
def an_async_def_returns(bench: Bench) -> Start:
    @bench.task()
    async def add(one: int, *, two: int) -> int:
        await asyncio.sleep(0)
        bench.seen.append((one, two, asyncio.current_task() is not None))
        return one + two

    return lambda: add.enqueue(1, two=3)


@case("succeeded")
def nothing_is_returned(bench: Bench) -> Start:
    @bench.task()
    def nothing() -> None:
        bench.seen.append("ran")

    return lambda: nothing.enqueue()


@case("succeeded")
def arguments_are_json_without_annotations(bench: Bench) -> Start:
    @bench.task()
    def show(value, **more):  # type: ignore[no-untyped-def]
        bench.seen.append((value, more))
        return value

    return lambda: show.enqueue((1, (2, [3])), when=datetime(2026, 1, 2, tzinfo=UTC))


@case("succeeded")
def arguments_have_the_types_of_annotations(bench: Bench) -> Start:
    @bench.task()
    def show(when: datetime, who: UUID, lines: list[Line], colour: Colour, raw: bytes) -> Line:
        bench.seen.append((when, who, lines, colour, raw))
        return lines[0]

    when, who = datetime(2026, 1, 2, tzinfo=UTC), UUID(int=7)
    lines = [Line("pen", Decimal("1.50"))]
    return lambda: show.enqueue(when, who, lines, Colour.RED, raw=b"\x00\xff")


@case("succeeded")
def a_value_changes_nothing_for_the_caller(bench: Bench) -> Start:
    given: list[int] = [1]

    @bench.task()
    def grow(values: list[int]) -> list[int]:
        values.append(2)
        return values

    def start() -> Any:
        handle = grow.enqueue(given)
        bench.seen.append(list(given))
        return handle

    return start


# Failing.


@case("failed")
def every_attempt_fails(bench: Bench) -> Start:
    @bench.context_task(max_retries=3, retry_delay=1.5, retry_backoff=3, retry_max_delay=10)
    def fail(ctx: Context, text: str) -> None:
        bench.seen.append((ctx.metadata.retries, ctx.metadata.max_retries))
        raise ValueError(text)

    return lambda: fail.enqueue("no: really")


@case("failed")
def every_attempt_of_an_async_def_fails(bench: Bench) -> Start:
    @bench.context_task(max_retries=1)
    async def fail(ctx: Context) -> None:
        await asyncio.sleep(0)
        bench.seen.append(ctx.metadata.retries)
        raise Unpaid("still")

    return lambda: fail.enqueue()


@case("succeeded")
def the_third_attempt_succeeds(bench: Bench) -> Start:
    @bench.context_task(retry_delays=(1, 7))
    def third(ctx: Context) -> int:
        if ctx.metadata.retries < 2:
            raise OSError(5, "busy")
        return ctx.metadata.retries

    return lambda: third.enqueue()


@case("failed")
def there_are_no_retries(bench: Bench) -> Start:
    @bench.task(max_retries=0)
    def fail() -> None:
        raise Unpaid

    return lambda: fail.enqueue()


@case("failed")
def a_call_sets_the_number_of_retries(bench: Bench) -> Start:
    @bench.context_task(max_retries=9)
    def fail(ctx: Context) -> None:
        bench.seen.append(ctx.metadata.max_retries)
        raise Unpaid("call")

    return lambda: fail.options(max_retries=1).enqueue()


@case("failed")
def an_error_has_a_cause(bench: Bench) -> Start:
    @bench.task(max_retries=0)
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Unpaid("outer") from error

    return lambda: fail.enqueue()


@case("failed")
def the_task_exits(bench: Bench) -> Start:
    @bench.task(max_retries=1)
    def leave() -> None:
        raise SystemExit(3)

    return lambda: leave.enqueue()


@case("failed")
def an_error_is_no_exception(bench: Bench) -> Start:
    @bench.task(max_retries=1)
    async def fail() -> None:
        raise Lower("base")

    return lambda: fail.enqueue()


@case("failed")
def a_result_is_not_json(bench: Bench) -> Start:
    @bench.task(max_retries=0)
    def fail() -> Any:
        return object()

    return lambda: fail.enqueue()


@case("failed")
def a_result_still_has_to_run(bench: Bench) -> Start:
    async def work() -> None: ...

    @bench.task(max_retries=0)
    def forget() -> Any:
        return [work()]

    return lambda: forget.enqueue()


@case("failed")
def a_def_takes_too_long(bench: Bench) -> Start:
    @bench.task(max_retries=0, timeout=0.05)
    def spin() -> None:
        while True:
            time.sleep(0.001)

    return lambda: spin.enqueue()


@case("failed")
def an_async_def_takes_too_long(bench: Bench) -> Start:
    @bench.task(max_retries=0, timeout=0.05)
    async def sleep() -> None:
        await asyncio.sleep(60)

    return lambda: sleep.enqueue()


@case("failed")
def a_call_sets_the_timeout(bench: Bench) -> Start:
    @bench.task(max_retries=0, timeout=60)
    async def sleep() -> None:
        await asyncio.sleep(60)

    return lambda: sleep.options(timeout=0.03).enqueue()


# Deciding about retries.


@case("succeeded")
def the_task_gives_the_delay(bench: Bench) -> Start:
    @bench.context_task()
    def again(ctx: Context) -> int:
        if ctx.metadata.retries == 0:
            raise Retry("soon", delay=33)
        return ctx.metadata.retries

    return lambda: again.enqueue()


@case("succeeded")
def the_task_puts_itself_off(bench: Bench) -> Start:
    @bench.context_task(max_retries=0)
    def later(ctx: Context) -> str:
        bench.seen.append((ctx.metadata.snoozes, ctx.metadata.retries))
        if ctx.metadata.snoozes < 2:
            raise Snooze(delay=90)
        return "done"

    return lambda: later.enqueue()


@case("snoozed_too_often")
def the_task_puts_itself_off_too_often(bench: Bench) -> Start:
    @bench.task(max_snoozes=1)
    def later() -> None:
        raise Snooze("not yet", delay=5)

    return lambda: later.enqueue()


@case("rejected")
def the_task_rejects(bench: Bench) -> Start:
    @bench.task()
    def reject() -> None:
        raise Reject("no such customer") from Unpaid("x")

    return lambda: reject.enqueue()


@case("no_retry_on")
def the_error_is_not_retried(bench: Bench) -> Start:
    @bench.task(no_retry_on=(Unpaid,))
    def fail() -> None:
        raise Unpaid("never")

    return lambda: fail.enqueue()


@case("not_in_retry_on")
def another_error_is_retried(bench: Bench) -> Start:
    @bench.task(retry_on=(OSError,))
    def fail() -> None:
        raise Unpaid("other")

    return lambda: fail.enqueue()


@case("failed")
def an_error_has_a_policy(bench: Bench) -> Start:
    @bench.task(retry_on={Unpaid: RetryPolicy(max_retries=2, delay=11)})
    def fail() -> None:
        raise Unpaid("policy")

    return lambda: fail.enqueue()


@case("retry_refused")
def a_function_decides(bench: Bench) -> Start:
    def decide(attempt: int, error: BaseException) -> float | None:
        bench.seen.append((attempt, str(error)))
        return 4.0 if attempt == 1 else None

    @bench.task(retry=decide)
    def fail() -> None:
        raise Unpaid("ask")

    return lambda: fail.enqueue()


@case("rejected")
def a_group_has_a_member_that_decides(bench: Bench) -> Start:
    @bench.task()
    def fail() -> None:
        raise ExceptionGroup("both", [Unpaid("one"), Reject("two")])

    return lambda: fail.enqueue()


@case("arguments")
def the_arguments_do_not_fit(bench: Bench) -> Start:
    @bench.task()
    def take(one: int) -> None: ...

    sent = bench.queue.declare(bench.name("take"), result_ttl=600)
    return lambda: sent.enqueue(1, 2)


@case("arguments")
def an_argument_has_another_type(bench: Bench) -> Start:
    @bench.task()
    def take(lines: list[Line]) -> None: ...

    sent = bench.queue.declare(bench.name("take"), result_ttl=600)
    return lambda: sent.enqueue([{"item": "pen"}])


# Seeing the context.


@case("succeeded")
def the_metadata_have_the_headers(bench: Bench) -> Start:
    @bench.context_task()
    def show(ctx: Context) -> bool:
        bench.seen.append((dict(ctx.metadata.headers), ctx.metadata.lost_workers))
        age = datetime.now(UTC) - ctx.metadata.enqueued_at
        return timedelta(seconds=-5) < age < timedelta(minutes=5)

    return lambda: show.options(headers={"tenant": "a"}).enqueue()


@case("succeeded")
def a_checkpoint_is_there_in_the_next_attempt(bench: Bench) -> Start:
    @bench.context_task()
    def copy(ctx: Context) -> Any:
        bench.seen.append(ctx.last_checkpoint)
        if ctx.metadata.retries < 2:
            ctx.checkpoint({"row": ctx.metadata.retries + 1})
            raise OSError("cut")
        return ctx.last_checkpoint

    return lambda: copy.enqueue()


@case("succeeded")
def progress_is_gone_at_the_end(bench: Bench) -> Start:
    handles: list[Any] = []

    @bench.context_task()
    def work(ctx: Context) -> str:
        ctx.progress(1, 4, "rows")
        return "end"

    def start() -> Any:
        handles.append(work.enqueue())
        return handles[0]

    return start


@case("failed")
def a_checkpoint_is_too_large(bench: Bench) -> Start:
    @bench.context_task(max_retries=0)
    def copy(ctx: Context) -> None:
        ctx.checkpoint("x" * 70_000)

    return lambda: copy.enqueue()


@case("succeeded")
def attempts_share_no_variables(bench: Bench) -> Start:
    @bench.context_task()
    def change(ctx: Context) -> str:
        before = variable.get()
        variable.set("changed")
        if ctx.metadata.retries == 0:
            raise OSError
        return before

    return lambda: change.enqueue()


@case("succeeded")
def a_thread_keeps_what_its_tasks_share(bench: Bench) -> Start:
    @bench.context_task(max_per_worker=1)
    def connect(ctx: Context) -> bool:
        found = ctx.thread_storage.setdefault(bench.name("connection"), [])
        return isinstance(found, list)

    return lambda: connect.enqueue()


# Calling other tasks.


@case("succeeded")
def a_task_calls_another(bench: Bench) -> Start:
    @bench.task()
    def inner(number: int) -> None:
        bench.seen.append(number)

    @bench.task()
    async def outer() -> str:
        for number in range(3):
            await inner.enqueue_async(number)
        return "outer"

    return lambda: outer.enqueue()


@case("succeeded")
def the_error_of_a_called_task_is_not_its_callers(bench: Bench) -> Start:
    @bench.task(max_retries=0)
    def inner() -> None:
        bench.seen.append("inner")
        raise Unpaid("inner")

    @bench.task()
    def outer() -> str:
        inner()
        return "outer"

    return lambda: outer.enqueue()


@case("succeeded")
def a_task_waits_for_another(bench: Bench) -> Start:
    @bench.task()
    async def inner(number: int) -> int:
        return number * 2

    @bench.task()
    def outer() -> int:
        found: int = inner.enqueue(21).result(in_worker=True)
        return found

    return lambda: outer.enqueue()


@case("succeeded")
def an_async_task_waits_for_others(bench: Bench) -> Start:
    @bench.task()
    def inner(number: int) -> int:
        return number * 2

    @bench.task()
    async def outer() -> list[int]:
        handles = [await inner.enqueue_async(number) for number in (1, 2)]
        return list(await asyncio.gather(*(h.result_async(in_worker=True) for h in handles)))

    return lambda: outer.enqueue()


@case("succeeded")
def a_worker_does_not_wait_for_its_queue(bench: Bench) -> Start:
    @bench.task()
    def outer() -> str:
        try:
            bench.queue.handle(UUID(int=1)).result()
        except ResultDeadlock as error:
            return type(error).__name__
        return "waited"

    return lambda: outer.enqueue()


@case("succeeded")
def a_task_cancels_one_that_waits(bench: Bench) -> Start:
    @bench.task()
    def inner() -> None: ...

    @bench.task()
    def outer() -> list[str]:
        handle = inner.options(delay=500).enqueue()
        return [handle.cancel(), handle.status()]

    return lambda: outer.enqueue()


@case("cancelled")
def a_running_task_is_cancelled(bench: Bench) -> Start:
    @bench.context_task()
    async def work(ctx: Context) -> None:
        await bench.queue.handle(ctx.metadata.task_id).cancel_async()
        await asyncio.sleep(60)

    return lambda: work.enqueue()


# Ending without success.


@case("failed")
def a_callback_learns_of_the_failure(bench: Bench) -> Start:
    @bench.task()
    def told(failure: Failure) -> None:
        shown = asdict(failure)
        bench.seen.append({name: shown[name] for name in shown if name != "id"})

    @bench.task(max_retries=1, on_failure=told)
    def fail(number: int, *, name: str) -> None:
        raise Unpaid(f"{number} {name}")

    return lambda: fail.enqueue(7, name="Ada")


@case("expired")
def a_retry_comes_after_the_expiry(bench: Bench) -> Start:
    @bench.task()
    def told(failure: Failure) -> None:
        bench.seen.append((failure.reason, failure.error, failure.attempts))

    @bench.task(expires=20, retry_delay=30, on_failure=told)
    def fail() -> None:
        raise Unpaid("late")

    return lambda: fail.enqueue()


# Middleware.


class Noting(Middleware):
    """Notes the outcomes of attempts, and names the tenant of calls.

    Args:
        fails: raises when an attempt begins.
    """

    def __init__(self, seen: list[Any], *, fails: bool = False) -> None:
        self._seen = seen
        self._fails = fails

    def attempt(self, attempt: Any) -> Any:
        if self._fails:
            raise Unpaid("of the middleware")
        outcome = yield
        shown = type(outcome.error).__name__, outcome.delay, outcome.reason
        self._seen.append((attempt.args, attempt.metadata.retries, outcome.status, shown))

    def enqueue(self, call: Any) -> Any:
        call.headers["tenant"] = "acme"
        sent = yield
        self._seen.append(("sent", sent.is_new))


class AsyncNoting(Noting):
    """Also waits around an attempt."""

    async def attempt_async(self, attempt: Any) -> Any:
        await asyncio.sleep(0)
        outcome = yield
        await asyncio.sleep(0)
        self._seen.append((attempt.is_async, outcome.status, outcome.reason))


@case("succeeded")
def middleware_sees_each_attempt(bench: Bench) -> Start:
    @bench.context_task(middleware=[Noting(bench.seen)])
    def second(ctx: Context, number: int) -> str:
        if ctx.metadata.retries == 0:
            raise OSError("first")
        return ctx.metadata.headers["tenant"]

    return lambda: second.enqueue(1)


@case("rejected")
def async_middleware_sees_a_rejected_task(bench: Bench) -> Start:
    @bench.task(middleware=[AsyncNoting(bench.seen)])
    async def reject() -> None:
        await asyncio.sleep(0)
        raise Reject("no")

    return lambda: reject.enqueue()


@case("failed")
def async_middleware_is_around_a_timeout(bench: Bench) -> Start:
    @bench.task(middleware=[AsyncNoting(bench.seen)], timeout=0.03, max_retries=0)
    async def sleep() -> None:
        await asyncio.sleep(60)

    return lambda: sleep.enqueue()


@case("cancelled")
def middleware_sees_a_cancelled_task(bench: Bench) -> Start:
    @bench.context_task(middleware=[AsyncNoting(bench.seen)])
    async def work(ctx: Context) -> None:
        await bench.queue.handle(ctx.metadata.task_id).cancel_async()
        await asyncio.sleep(60)

    return lambda: work.enqueue()


@case("failed")
def an_error_of_middleware_fails_the_attempt(bench: Bench) -> Start:
    @bench.task(middleware=[Noting(bench.seen), Noting(bench.seen, fails=True)], max_retries=1)
    def work() -> None:
        bench.seen.append("ran")

    return lambda: work.enqueue()


# Dependencies.


@case("succeeded")
def a_dependency_is_made_and_ended_around_each_attempt(bench: Bench) -> Start:
    def number(metadata: TaskMetadata) -> int:
        return metadata.retries

    def session(number: int = Depends(number)) -> Iterator[str]:
        bench.seen.append(f"begin {number}")
        try:
            yield f"session {number}"
        except OSError:
            bench.seen.append(f"roll back {number}")
            raise
        finally:
            bench.seen.append(f"end {number}")

    @bench.context_task()
    def work(ctx: Context, order: int, session: str = Depends(session)) -> str:
        if ctx.metadata.retries == 0:
            raise OSError("first")
        return f"{order} in {session}"

    return lambda: work.enqueue(7)


@case("succeeded")
def async_tasks_share_a_value_of_their_loop(bench: Bench) -> Start:
    async def pool() -> AsyncIterator[list[int]]:
        bench.seen.append("opened")
        yield []

    async def session(pool: list[int] = Shared(pool)) -> list[int]:
        await asyncio.sleep(0)
        return pool

    @bench.task()
    async def work(number: int, session: list[int] = Depends(session)) -> bool:
        session.append(number)
        return asyncio.get_running_loop().is_running()

    @bench.task()
    async def outer() -> bool:
        handles = [await work.enqueue_async(number) for number in (1, 2)]
        return all([await handle.result_async(in_worker=True) for handle in handles])

    return lambda: outer.enqueue()


@case("failed")
def an_error_of_a_dependency_fails_the_attempt(bench: Bench) -> Start:
    def session() -> str:
        raise Unpaid("no session")

    @bench.task(max_retries=1)
    def work(session: str = Depends(session)) -> None:
        bench.seen.append("ran")

    return lambda: work.enqueue()


# Options of calls.


@case("succeeded")
def a_call_is_delayed(bench: Bench) -> Start:
    @bench.context_task()
    def show(ctx: Context, number: int) -> int:
        bench.seen.append(ctx.metadata.retries)
        return number

    return lambda: show.options(delay=100, priority=5).enqueue(3)


@case("succeeded")
def a_call_names_its_id(bench: Bench) -> Start:
    @bench.context_task()
    def show(ctx: Context) -> bool:
        return bool(ctx.metadata.task_id == handles[0].id)

    handles: list[Any] = []

    def start() -> Any:
        handles.append(bench.queue.handle(bench.name("order-7")))
        return show.options(task_id=bench.name("order-7")).enqueue()

    return start


@case("succeeded")
def many_calls_run(bench: Bench) -> Start:
    @bench.task()
    def note(number: int) -> int:
        bench.seen.append(number)
        return number

    return lambda: note.enqueue_each([(1,), {"number": 2}, note.call(3)])[2]


@case("succeeded")
def a_throttled_call_is_left_out(bench: Bench) -> Start:
    @bench.task(throttle=500)
    def sync(number: int) -> int:
        bench.seen.append(number)
        return number

    def start() -> Any:
        first = sync.enqueue(1)
        again = sync.enqueue(1)
        bench.seen.append((again.created, again == first, sync.enqueue(2).created))
        return first

    return start


@case("succeeded")
def a_unique_task_keeps_its_lock_while_it_runs(bench: Bench) -> Start:
    @bench.task(unique=True, on_conflict="raise")
    def alone(number: int) -> str:
        try:
            alone.enqueue(number)
        except DuplicateTask as error:
            return type(error).__name__
        return "twice"

    return lambda: alone.enqueue(1)


@case("succeeded")
def a_unique_task_until_its_start_can_be_called_again(bench: Bench) -> Start:
    @bench.context_task(unique=("number",), unique_until="start")
    def alone(ctx: Context, number: int, round: int) -> int:
        bench.seen.append(round)
        if round == 1:
            bench.seen.append(alone.options(delay=5).enqueue(number, 2).created)
            bench.seen.append(alone.enqueue(number, 3).created)
        return round

    return lambda: alone.enqueue(1, 1)


@case("succeeded")
def a_task_without_a_result_keeps_none(bench: Bench) -> Start:
    @bench.task(result_ttl=None)
    def work() -> None: ...

    @bench.task()
    def outer() -> str:
        try:
            return work.enqueue().status()  # type: ignore[no-any-return]
        except ResultNotKept as error:
            return type(error).__name__

    return lambda: outer.enqueue()
