"""The coroutine of an async call in a thread without an event loop: its task is enqueued."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Generator
from typing import Any, NoReturn, TypeVar

from .errors import FluxQueueWarning

T = TypeVar("T")


class EnqueuedCall(Coroutine[Any, Any, T]):
    """A coroutine that ends with its first step, for `asyncio.run(task(1))`.

    It warns if nothing awaits it, as other coroutines do. Its task is not lost then.

    Args:
        result: the result of the coroutine.
        where: names the task, for the warning.
        instead: the call to write if nothing can be awaited.
    """

    __slots__ = ("_advice", "_is_used", "_result")

    def __init__(self, result: T, where: str, instead: str) -> None:
        self._result = result
        self._is_used = False
        self._advice = (
            f"{where}: the call was not awaited. No event loop runs in this thread, so the call "
            f"has enqueued the task itself; write `{instead}`, which always does so"
        )

    def send(self, value: object, /) -> NoReturn:
        """Ends with the result."""
        self._is_used = True
        raise StopIteration(self._result)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> NoReturn:
        """Raises the exception, as a coroutine does that does not catch it."""
        self._is_used = True
        error = typ if isinstance(typ, BaseException) else val
        if not isinstance(error, BaseException):
            error = typ() if error is None else typ(error)
        raise error if tb is None else error.with_traceback(tb)

    def close(self) -> None:
        """Does nothing: the task has been enqueued."""
        self._is_used = True

    def __await__(self) -> Generator[Any, Any, T]:
        self._is_used = True
        yield from ()
        return self._result

    def __del__(self) -> None:
        if not self._is_used:
            warnings.warn(self._advice, FluxQueueWarning, stacklevel=2)
