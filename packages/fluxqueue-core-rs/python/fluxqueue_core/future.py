"""The future that `Producer.enqueue_async` returns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn


class EnqueueFuture(asyncio.Future[None], Coroutine[Any, Any, None]):
    """A future that may also be used where a coroutine is asked for.

    `await`, `gather` and `wait_for` take it as the future that it is.
    `asyncio.create_task` and `TaskGroup.create_task` take only coroutines, and
    a call of an `async def` task has to fit there as the call of any other
    coroutine function does. So it has the three methods by which
    `asyncio.Task` drives a coroutine.
    """

    __slots__ = ()

    def send(self, value: None, /) -> Any:
        """Steps: hands itself to the task to wait for, or ends with the result."""
        if self.done():
            raise StopIteration(self.result())
        # As `Future.__await__` does before it yields itself: without it the task takes
        # the object for one that was yielded by mistake.
        self._asyncio_future_blocking = True
        return self

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """Ends with the exception, as a coroutine that does not catch it.

        A task that was cancelled before its first step throws here while the
        future is still open; then the call is withdrawn.
        """
        self.cancel()
        error = typ if isinstance(typ, BaseException) else val
        if not isinstance(error, BaseException):
            error = typ() if error is None else typ(error)
        raise error if tb is None else error.with_traceback(tb)

    def close(self) -> None:
        """Withdraws the call, as far as it has not been written."""
        self.cancel()
