"""The coroutine of `enqueue_many_async`: it warns if it is not awaited.

Why: docs/decisions/0062-no-call-is-lost-without-a-word.md
"""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from .errors import FluxQueueWarning

P = ParamSpec("P")
T = TypeVar("T")


class BulkCall(Coroutine[Any, Any, int]):
    """Runs a coroutine that sends many calls. Until its first step nothing is sent.

    Args:
        sending: returns the number of calls that were enqueued.
        where: names the task, for the warning.
        name: the name of the task's function, for the warning.
    """

    __slots__ = ("_is_used", "_name", "_sending", "_where")

    def __init__(self, sending: Coroutine[Any, Any, int], where: str, name: str) -> None:
        self._sending = sending
        self._where = where
        self._name = name
        self._is_used = False

    def send(self, value: Any, /) -> Any:
        """Runs the next step."""
        self._is_used = True
        return self._sending.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raises an exception where the coroutine waits."""
        self._is_used = True
        if val is None and tb is None:
            return self._sending.throw(typ)
        return self._sending.throw(typ, val, tb)

    def close(self) -> None:
        """Ends the coroutine. If it has not begun, nothing is sent."""
        self._is_used = True
        self._sending.close()

    def __await__(self) -> Generator[Any, Any, int]:
        self._is_used = True
        return self._sending.__await__()

    def __del__(self) -> None:
        if self._is_used:
            return
        self._sending.close()  # so that Python does not warn as well
        warnings.warn(
            f"{self._where}: enqueue_many_async was not awaited, and none of its calls was sent; "
            f"write `await {self._name}.enqueue_many_async(...)`, or where no event loop runs, "
            f"`{self._name}.enqueue_many(...)`",
            FluxQueueWarning,
            stacklevel=2,
        )


def warns_if_not_awaited(
    method: Callable[Concatenate[T, P], Coroutine[Any, Any, int]],
) -> Callable[Concatenate[T, P], Coroutine[Any, Any, int]]:
    """Decorates an `async def` of a task, whose coroutines become a `BulkCall`."""
    return cast("Callable[Concatenate[T, P], Coroutine[Any, Any, int]]", _Method(method))


class _Method:
    """Looks like the `async def` in it: frameworks ask `iscoroutinefunction` whether to
    await a call, and Python 3.11 has no other mark for a method without asyncio."""

    def __init__(self, method: Any) -> None:
        functools.update_wrapper(self, method)
        self.__code__ = method.__code__
        self.__defaults__ = method.__defaults__
        self.__kwdefaults__ = method.__kwdefaults__
        self._method = method

    def __get__(self, task: Any, owner: type) -> Any:
        return self if task is None else types.MethodType(self, task)

    def __call__(self, task: Any, /, *args: Any, **kwargs: Any) -> BulkCall:
        return BulkCall(self._method(task, *args, **kwargs), task._where, task.__name__)
