"""Opens what dependencies give (generators and context managers), and closes it again.

Not by `contextlib`: the traceback of an error begins in the application, and a dependency can't
turn the failure of a task into a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any, Protocol, TypeAlias

from fluxqueue.dependency_forms import DependencyForm, Provider
from fluxqueue_core.exception_text import traceback_of

from .error_text import own_frame

# A function that gives one of these is not what it looks like: a decorator hides its kind.
UNUSED = frozenset((CoroutineType, GeneratorType, AsyncGeneratorType))


class Closable(Protocol):
    """A context manager, or something async, that a function has opened.

    Attributes:
        is_async: whether `close` gives an awaitable.
    """

    is_async: bool

    def close(self, error: BaseException | None) -> Any:
        """Closes it.

        Args:
            error: the error that ended the attempt so far; None: it has succeeded.

        Raises:
            BaseException: another error. `error` itself is never raised, nor suppressed.
        """


# Sync generators are there as they are: most dependencies are such ones, and an object around each
# would take as long as its begin.
SyncGenerator: TypeAlias = "GeneratorType[Any, None, None]"
Opened: TypeAlias = "Closable | SyncGenerator"
# Calls a function with these arguments, and returns its value (an awaitable of it, if it is async).
# It appends what has to be closed.
Open = Callable[[list[Opened], Mapping[str, Any]], Any]


def opener(provider: Provider) -> Open:
    """Returns what makes the value of a provider."""
    kinds = {
        (DependencyForm.VALUE, False): _value,
        (DependencyForm.VALUE, True): _awaited,
        (DependencyForm.GENERATOR, False): _generator,
        (DependencyForm.GENERATOR, True): _async_generator,
        (DependencyForm.MANAGER, False): _manager,
        (DependencyForm.MANAGER, True): _async_manager,
    }
    return kinds[provider.form, provider.is_async](
        provider.call, f"the dependency {provider.name}()"
    )


@own_frame
def close_all(opened: list[Opened], error: BaseException | None) -> None:
    """Closes all, the last one first. Each gets the error that counts by then.

    Raises:
        BaseException: the last error, if it is not `error`.
    """
    while opened:
        last = opened.pop()
        try:
            if type(last) is GeneratorType:
                _close_generator(last, error)
            else:
                last.close(error)
        except BaseException as raised:
            close_all(opened, raised)
            raise


@own_frame
async def close_all_async(opened: list[Opened], error: BaseException | None) -> None:
    """As `close_all`, for what async functions have opened too."""
    while opened:
        last = opened.pop()
        try:
            if type(last) is GeneratorType:
                _close_generator(last, error)
                continue
            closing = last.close(error)
            if last.is_async:
                await closing
        except BaseException as raised:
            await close_all_async(opened, raised)
            raise


def _value(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    def made(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        value = function(**given)
        if type(value) in UNUSED:
            raise unused(value, name)
        return value

    return made


def _awaited(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    def called(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        return function(**given)

    return called


def _generator(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    def begun(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        generator = function(**given)
        # First: an exception from outside (a timeout) may follow at any bytecode.
        opened.append(generator)
        for value in generator:
            return value
        raise _did_not_yield(name)

    return begun


def _async_generator(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    async def begun(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        generator = function(**given)
        opened.append(_OpenAsyncGenerator(generator, name))
        try:
            return await anext(generator)
        except StopAsyncIteration:
            raise _did_not_yield(name) from None

    return begun


def _manager(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    def entered(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        manager = function(**given)
        value = type(manager).__enter__(manager)
        opened.append(_OpenManager(manager))
        return value

    return entered


def _async_manager(function: Callable[..., Any], name: str) -> Open:
    @own_frame
    async def entered(opened: list[Opened], given: Mapping[str, Any]) -> Any:
        manager = function(**given)
        value = await type(manager).__aenter__(manager)
        opened.append(_OpenAsyncManager(manager))
        return value

    return entered


def unused(value: object, name: str) -> TypeError:
    """The error of a dependency whose value still has to run, which is closed."""
    if isinstance(value, CoroutineType):
        value.close()
    return TypeError(
        f"{name} gave a {type(value).__name__}, which nothing runs; make its "
        f"function, and what decorates it, an `async def` or a generator function"
    )


def _did_not_yield(name: str) -> RuntimeError:
    return RuntimeError(f"{name} returned before its `yield`; yield the value once")


def _yielded_twice(name: str) -> RuntimeError:
    return RuntimeError(f"{name} yielded twice; yield the value once")


def _is_same(raised: BaseException, error: BaseException) -> bool:
    """Whether a generator has raised the error that it was given. It raises a `StopIteration` as
    the cause of another error."""
    return raised is error or (isinstance(raised, RuntimeError) and raised.__cause__ is error)


def _restore(error: BaseException | None, trace: TracebackType | None) -> None:
    """Gives an error the traceback that it had: what it has passed through is not its origin."""
    if error is not None:
        BaseException.with_traceback(error, trace)


@own_frame
def _close_generator(generator: SyncGenerator, error: BaseException | None) -> None:
    """Runs the code after the `yield`. Raises as `Closable.close`."""
    if error is None:
        for _ in generator:  # faster than `next`: the end raises no exception
            break
        else:
            return
    elif generator.gi_frame is None:  # it has failed itself
        return
    else:
        try:
            _throw(generator, error)
        except StopIteration:
            return
    generator.close()
    raise _yielded_twice(f"the dependency {generator.__qualname__}()")


@own_frame
def _throw(generator: SyncGenerator, error: BaseException) -> None:
    """Raises the error in the generator. Raises StopIteration if that ends it, or another error."""
    trace = traceback_of(error)
    try:
        generator.throw(error)
    except BaseException as raised:
        _restore(error, trace)
        if _is_same(raised, error):
            raise StopIteration from None
        raise


class _OpenAsyncGenerator:
    __slots__ = ("_generator", "_name")
    is_async = True

    def __init__(self, generator: AsyncGeneratorType[Any, None], name: str) -> None:
        self._generator, self._name = generator, name

    @own_frame
    async def close(self, error: BaseException | None) -> None:
        generator = self._generator
        try:
            if error is None:
                await anext(generator)
            elif generator.ag_frame is not None:
                await _throw_async(generator, error)
            else:
                return
        except StopAsyncIteration:
            return
        await generator.aclose()
        raise _yielded_twice(self._name)


@own_frame
async def _throw_async(generator: AsyncGeneratorType[Any, None], error: BaseException) -> None:
    trace = traceback_of(error)
    try:
        await generator.athrow(error)
    except BaseException as raised:
        _restore(error, trace)
        if _is_same(raised, error):
            raise StopAsyncIteration from None
        raise


class _OpenManager:
    __slots__ = ("_manager",)
    is_async = False

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    @own_frame
    def close(self, error: BaseException | None) -> None:
        kind, trace = _parts(error)
        try:
            type(self._manager).__exit__(self._manager, kind, error, trace)
        except BaseException as raised:
            if raised is not error:
                raise
        _restore(error, trace)


class _OpenAsyncManager:
    __slots__ = ("_manager",)
    is_async = True

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    @own_frame
    async def close(self, error: BaseException | None) -> None:
        kind, trace = _parts(error)
        try:
            await type(self._manager).__aexit__(self._manager, kind, error, trace)
        except BaseException as raised:
            if raised is not error:
                raise
        _restore(error, trace)


def _parts(
    error: BaseException | None,
) -> tuple[type[BaseException] | None, TracebackType | None]:
    return (None, None) if error is None else (type(error), traceback_of(error))
