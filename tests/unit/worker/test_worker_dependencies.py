"""The worker makes the dependencies of an attempt, and ends them after it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Annotated, Any

import pytest
from fluxqueue import Context, Depends, FluxQueue, TaskMetadata
from fluxqueue.conversion import ConversionError
from fluxqueue_worker.error_text import is_own
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.traceback_text import format_traceback
from support.injecting import begun, run

fluxqueue = FluxQueue("redis://127.0.0.1:1")
# The dependencies of a test note here what happens.
noted: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    noted.clear()
    yield
    fluxqueue.dependency_overrides.clear()


def plain() -> str:
    noted.append("begin")
    return "value"


def generator() -> Iterator[str]:
    noted.append("begin")
    try:
        yield "value"
    except ZeroDivisionError as error:
        noted.append(error)
        raise
    finally:
        noted.append("end")


@contextlib.contextmanager
def decorated() -> Iterator[str]:
    yield from generator()


class Manager:
    def __init__(self, value: str = "value") -> None:
        self.value = value

    def __enter__(self) -> str:
        noted.append("begin")
        return self.value

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        noted.extend([error] if error is not None else [])
        noted.append("end")


class CallableObject:
    def __call__(self) -> Iterator[str]:
        yield from generator()


class Methods:
    def make(self) -> Iterator[str]:
        yield from generator()


def logs(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def named(value: str) -> Iterator[str]:
    yield from generator()


async def plain_async() -> str:
    await asyncio.sleep(0)
    return plain()


async def generator_async() -> AsyncIterator[str]:
    noted.append("begin")
    await asyncio.sleep(0)
    try:
        yield "value"
    except ZeroDivisionError as error:
        noted.append(error)
        raise
    finally:
        await asyncio.sleep(0)
        noted.append("end")


@contextlib.asynccontextmanager
async def decorated_async() -> AsyncIterator[str]:
    async for value in generator_async():
        yield value


class AsyncManager:
    async def __aenter__(self) -> str:
        noted.append("begin")
        await asyncio.sleep(0)
        return "value"

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await asyncio.sleep(0)
        noted.extend([error] if error is not None else [])
        noted.append("end")


class AsyncCallable:
    async def __call__(self) -> str:
        return plain()


def nested(inner: str = Depends(generator)) -> str:
    return inner


def nested_generator(inner: Annotated[str, Depends(generator)]) -> Iterator[str]:
    noted.append("begin outer")
    yield inner
    noted.append("end outer")


async def nested_async(inner: str = Depends(generator), other: str = Depends(plain_async)) -> str:
    assert inner == other
    return inner


SYNC = [
    plain,
    generator,
    decorated,
    Manager,
    functools.partial(Manager, value="value"),
    CallableObject(),
    Methods().make,
    logs(generator),
    logs(decorated),
    functools.partial(named, value="x"),
    nested,
    lambda: plain(),
]
ASYNC = [
    plain_async,
    generator_async,
    AsyncManager,
    AsyncCallable(),
    logs(generator_async),
    functools.partial(generator_async),
    nested_async,
]
SHAPES = [(False, shape) for shape in SYNC] + [(True, shape) for shape in (*SYNC, *ASYNC)]


def task_with(function: Any, is_async: bool, body: Callable[[Any], Any]) -> Any:
    """A task with one dependency, whose value it gives to `body`."""
    if is_async:

        async def work_async(number: int, value: Any = Depends(function)) -> Any:
            await asyncio.sleep(0)
            noted.append("task")
            return body(value)

        return fluxqueue.task(name=f"work{len(fluxqueue.tasks)}")(work_async)

    def work(number: int, value: Any = Depends(function)) -> Any:
        noted.append("task")
        return body(value)

    return fluxqueue.task(name=f"work{len(fluxqueue.tasks)}")(work)


def trace_of(error: BaseException) -> TracebackType | None:
    """The traceback of an error as the worker has it: from its own first frame on."""
    trace = error.__traceback__
    while trace is not None and not is_own(trace.tb_frame):
        trace = trace.tb_next
    return trace


def functions(error: BaseException) -> list[str]:
    """The names of the application's functions in the traceback of an error."""
    frames = [frame for frame, _ in traceback.walk_tb(trace_of(error))]
    return [frame.f_code.co_name for frame in itertools.dropwhile(is_own, frames)]


def fail(value: Any) -> None:
    raise ZeroDivisionError("bad")


@pytest.mark.parametrize(("is_async", "shape"), SHAPES)
def test_each_shape_gives_its_value_and_ends_after_the_task(is_async: bool, shape: Any) -> None:
    assert run(task_with(shape, is_async, lambda value: value), 1) == "value"
    assert [each for each in noted if each != "begin"] in (["task"], ["task", "end"])
    assert noted[0] == "begin"


@pytest.mark.parametrize(("is_async", "shape"), SHAPES)
def test_each_shape_sees_the_error_of_the_task(is_async: bool, shape: Any) -> None:
    task = task_with(shape, is_async, fail)
    with pytest.raises(ZeroDivisionError) as caught:
        run(task, 1)
    at = noted.index("task")
    assert noted[at:] in (["task"], ["task", caught.value, "end"])
    assert functions(caught.value) == [*(["work_async"] if is_async else ["work"]), "fail"]


def breaks() -> None:
    raise LookupError("down")


def breaks_before_its_yield() -> Iterator[None]:
    breaks()
    yield


def breaks_after_its_yield() -> Iterator[None]:
    yield
    breaks()


class BreaksAtTheBeginning:
    def __enter__(self) -> None:
        breaks()

    def __exit__(self, *error: object) -> None: ...


class BreaksAtTheEnd(contextlib.nullcontext[None]):
    def __exit__(self, *error: object) -> None:
        breaks()


async def breaks_async() -> None:
    breaks()


async def breaks_after_its_yield_async() -> AsyncIterator[None]:
    yield
    breaks()


BREAKING: list[Any] = [
    *(breaks, breaks_before_its_yield, breaks_after_its_yield),
    *(BreaksAtTheBeginning, BreaksAtTheEnd, breaks_async, breaks_after_its_yield_async),
]


@pytest.mark.parametrize("shape", BREAKING)
@pytest.mark.parametrize("body", [fail, str])
def test_a_dependency_that_fails_fails_the_attempt(shape: Any, body: Any) -> None:
    def work(outer: Any = Depends(generator), value: Any = Depends(shape)) -> Any:
        return body(value)

    async def work_async(outer: Any = Depends(generator), value: Any = Depends(shape)) -> Any:
        return body(value)

    func: Any = work if "async" not in shape.__name__ else work_async
    with pytest.raises((LookupError, ZeroDivisionError)) as caught:
        run(fluxqueue.task(name=f"{shape.__name__}_{body.__name__}")(func))
    if ("after" not in shape.__name__ and "End" not in shape.__name__) or body is str:
        assert isinstance(caught.value, LookupError)
    # The one around it has ended, with the error that counts.
    assert noted == ["begin", "end"] or noted[1:] == [caught.value, "end"]
    text = format_traceback(caught.value.with_traceback(trace_of(caught.value)))
    assert {line for line in text.splitlines() if "File" in line and __file__ not in line} == set()


def swallows() -> Iterator[None]:
    with contextlib.suppress(ZeroDivisionError):
        yield


class Swallows(contextlib.nullcontext[None]):
    def __exit__(self, *error: object) -> bool:  # type: ignore[override]
        return True


async def swallows_async() -> AsyncIterator[None]:
    with contextlib.suppress(ZeroDivisionError):
        yield


@pytest.mark.parametrize("shape", [swallows, Swallows, swallows_async])
def test_no_dependency_turns_a_failure_into_a_success(shape: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="bad") as caught:
        run(task_with(shape, shape is swallows_async, fail), 1)
    assert functions(caught.value)[-1] == "fail" and "swallows" not in str(functions(caught.value))


def changes() -> Iterator[None]:
    try:
        yield
    except ZeroDivisionError:
        raise PermissionError("changed")  # noqa: B904


def test_a_dependency_may_raise_another_error_which_the_outer_ones_see() -> None:
    def work(outer: Any = Depends(Manager), inner: Any = Depends(changes)) -> None:
        fail(inner)

    with pytest.raises(PermissionError) as caught:
        run(fluxqueue.task(name="changed")(work))
    assert noted == ["begin", caught.value, "end"]
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def yields_twice() -> Iterator[int]:
    yield 1
    yield 2


def yields_never() -> Iterator[int]:
    yield from ()


async def yields_twice_async() -> AsyncIterator[int]:
    yield 1
    yield 2


async def yields_never_async() -> AsyncIterator[int]:
    for each in list[int]():
        yield each


@pytest.mark.parametrize("body", [str, fail])
@pytest.mark.parametrize(
    "shape", [yields_twice, yields_never, yields_twice_async, yields_never_async]
)
def test_a_generator_must_yield_once(shape: Any, body: Any) -> None:
    twice = "twice" in shape.__name__
    if body is fail and twice:
        # The generator has ended by the error of the task.
        expected: Any = pytest.raises(ZeroDivisionError)
    else:
        expected = pytest.raises(
            RuntimeError, match=rf"^the dependency {shape.__name__}\(\) .*yield the value once"
        )
    with expected:
        run(task_with(shape, "async" in shape.__name__, body), 1)


def stops() -> None:
    raise StopIteration("of the task")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stop_iteration_of_the_task_stays_its_error(is_async: bool) -> None:
    kind = RuntimeError if is_async else StopIteration  # a coroutine can't raise the latter
    with pytest.raises(kind, match=r"of the task|raised StopIteration"):
        run(task_with(generator, is_async, lambda _: stops()), 1)
    assert noted[-1] == "end"


def wrapped_badly(function: Any) -> Any:
    def wrapper() -> Any:
        return (lambda: function())()

    return wrapper


@pytest.mark.parametrize("function", [generator, plain_async, generator_async])
def test_a_value_that_nothing_runs_is_refused(function: Any) -> None:
    with pytest.raises(
        TypeError,
        match=r"^the dependency \w+(\(\))? gave a \w*(generator|coroutine), which nothing runs",
    ):
        run(task_with(wrapped_badly(function), False, str), 1)


counted = 0


def count() -> int:
    global counted
    counted += 1
    return counted


def first(number: int = Depends(count)) -> int:
    return number


def second(number: int = Depends(count)) -> int:
    return number


def test_an_attempt_calls_a_function_once_for_all_its_parameters() -> None:
    @fluxqueue.task()
    def cached(
        a: int = Depends(first), b: int = Depends(second), c: int = Depends(count)
    ) -> list[int]:
        return [a, b, c]

    one, other = run(cached), run(cached)
    assert len(set(one)) == len(set(other)) == 1
    assert one != other


def test_use_cache_false_calls_it_again() -> None:
    @fluxqueue.task()
    def uncached(a: int = Depends(count), b: int = Depends(count, use_cache=False)) -> list[int]:
        return [a, b]

    a, b = run(uncached)
    assert b == a + 1


class AppContext(Context):
    pass


def needs_context(ctx: Context) -> Context:
    return ctx


def needs_app_context(ctx: AppContext, other: Context = Depends(needs_context)) -> Context:
    assert ctx is other
    return ctx


def needs_metadata(metadata: TaskMetadata) -> str:
    return metadata.task_id


def test_a_dependency_gets_the_context_of_the_attempt() -> None:
    @fluxqueue.task()
    def asks(number: int, ctx: Any = Depends(needs_app_context)) -> Any:
        return number, ctx

    number, ctx = run(asks, 5)
    assert number == 5
    assert type(ctx) is AppContext and ctx.metadata.task_id.startswith("id-")

    @fluxqueue.task()
    async def asks_async(number: int, task_id: str = Depends(needs_metadata)) -> Any:
        return number, task_id

    assert run(asks_async, number=5)[1].startswith("id-")


def test_the_context_of_a_task_is_that_of_its_dependencies() -> None:
    @fluxqueue.task_with_context()
    def has_context(
        ctx: AppContext,
        before: Annotated[Any, Depends(needs_context)],
        number: int,
        after: Any = Depends(needs_app_context),
    ) -> Any:
        assert ctx is before is after
        return number

    assert run(has_context, 5) == run(has_context, number=5) == 5


@dataclass
class Customer:
    number: int
    day: date


def customer(number: int, day: date) -> Customer:
    return Customer(number, day)


@pytest.mark.parametrize(
    ("args", "kwargs", "day"),
    [
        ([5], {}, date(2026, 1, 1)),
        ([5, "2026-02-02"], {}, date(2026, 2, 2)),
        ([], {"day": "2026-02-02", "number": 5}, date(2026, 2, 2)),
    ],
)
def test_a_dependency_gets_arguments_of_the_task_by_name(
    args: list[Any], kwargs: dict[str, Any], day: date
) -> None:
    @fluxqueue.task(name="by_name")
    def work(
        number: int, day: date = date(2026, 1, 1), who: Customer = Depends(customer)
    ) -> Customer:
        assert who.day == day
        return who

    assert run(work, *args, **kwargs) == Customer(5, day)


def with_default(number: int = 3) -> int:
    return number


def test_a_parameter_with_a_default_keeps_it() -> None:
    @fluxqueue.task()
    def keeps(number: int, value: int = Depends(with_default)) -> int:
        return value

    assert run(keeps, 5) == 3


Text = Annotated[str, Depends(plain)]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([1, 2], {}), ([1], {"b": 2}), ([], {"a": 1, "b": 2}), ([1, 2, 3, 4], {"d": 5})],
)
def test_dependencies_may_be_anywhere_among_the_arguments(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    def work(x: Text, a: int, y: Text, b: int, *more: int, z: Text, **others: int) -> Any:
        return (x, y, z), (a, b), more, others

    task = fluxqueue.task(name=f"places{len(fluxqueue.tasks)}")(work)
    texts, numbers, more, others = run(task, *args, **kwargs)
    assert texts == ("value",) * 3 and numbers == (1, 2)
    assert more == tuple(args[2:]) and others == {k: v for k, v in kwargs.items() if k == "d"}


def test_a_message_that_does_not_fit_opens_nothing() -> None:
    @fluxqueue.task()
    def converts(day: date, value: str = Depends(generator)) -> None: ...

    with pytest.raises(ConversionError):
        run(converts, "no date")
    assert noted == []


@pytest.mark.parametrize("function", [plain, generator])
@pytest.mark.parametrize("kwargs", [{"value": 1}, {"value": None}])
def test_a_message_with_a_value_of_a_dependency_does_not_fit(
    function: Any, kwargs: dict[str, Any]
) -> None:
    record = RegisteredTask(task_with(function, False, str))
    with pytest.raises(TypeError, match="'value', which is a dependency"):
        begun(record, 5, **kwargs)
    with pytest.raises(TypeError):
        record.check(5, **kwargs)


def fake() -> Iterator[str]:
    noted.append("fake")
    yield "fake"
    noted.append("end fake")


@pytest.mark.parametrize(("is_async", "shape"), [(False, plain), (True, generator_async)])
def test_a_test_may_override_a_dependency(is_async: bool, shape: Any) -> None:
    record = RegisteredTask(task_with(shape, is_async, lambda value: value))

    def result() -> Any:
        found = begun(record, 1)
        return asyncio.run(found) if is_async else found

    with fluxqueue.override_dependency(shape, fake):
        assert result() == "fake"
    assert noted == ["fake", "task", "end fake"]
    assert result() == "value"
    fluxqueue.dependency_overrides[shape] = lambda: "other"
    with fluxqueue.override_dependency(shape, fake):
        assert result() == "fake"
    assert result() == "other"


def test_an_override_of_a_nested_dependency_may_have_its_own() -> None:
    def other(inner: str = Depends(plain)) -> str:
        return inner.upper()

    task = task_with(nested_generator, False, lambda value: value)
    with fluxqueue.override_dependency(generator, other):
        assert run(task, 1) == "VALUE"


def test_an_override_that_does_not_fit_fails_the_attempt() -> None:
    record = RegisteredTask(task_with(plain, False, str))
    with (
        fluxqueue.override_dependency(plain, plain_async),
        pytest.raises(TypeError, match="is async"),
    ):
        begun(record, 1)
    with fluxqueue.override_dependency(plain, needs_context):
        with pytest.raises(TypeError, match="before the worker loads the task"):
            begun(record, 1)
        assert "Context" in run(task_with(plain, False, str), 1)


def test_a_cancelled_attempt_ends_its_dependencies() -> None:
    async def work(value: str = Depends(generator_async), other: str = Depends(nested)) -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        running = asyncio.create_task(RegisteredTask(fluxqueue.task(name="cancelled")(work)).func())
        while noted != ["begin", "begin"]:
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    assert noted == ["begin", "begin", "end", "end"]


def test_a_coroutine_that_is_closed_ends_its_dependencies() -> None:
    @contextlib.contextmanager
    def notes() -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            noted.append("closed")
            raise

    async def work(value: None = Depends(notes)) -> None:
        await asyncio.sleep(60)

    async def close() -> None:
        coroutine = RegisteredTask(fluxqueue.task(name="closed")(work)).func()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(close())
    assert noted == ["closed"]


def test_a_task_without_dependencies_is_as_before() -> None:
    @fluxqueue.task()
    def without(number: int) -> None: ...

    record = RegisteredTask(without)
    assert record.func is without.func and record.run is None
