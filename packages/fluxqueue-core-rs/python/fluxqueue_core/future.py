"""The future that `Producer.enqueue_async` returns.

Why: docs/decisions/0009-an-awaitable-that-is-future-and-coroutine.md
Why it may wait at once: docs/decisions/0262-a-lone-call-waits-at-once.md
Why the end of a loop does not cancel it: docs/decisions/0118-the-end-of-a-loop-cancels-no-call.md
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, NoReturn

from .loop_end import is_ending, report_failure

_await = asyncio.Future.__await__


class EnqueueFuture(asyncio.Future[None], Coroutine[Any, Any, None]):
    """A future that also works as a coroutine.

    `await`, `gather` and `wait_for` take it as a future. `asyncio.create_task` and
    `TaskGroup.create_task` take only coroutines, and they must accept the call of an
    `async def` task, just as they accept the call of any other coroutine function. For
    them the class has the three methods by which `asyncio.Task` drives a coroutine.
    """

    __slots__ = ()

    # Whether an asyncio task drives it: `asyncio.create_task(work(1))`.
    _is_driven = False
    # The connection, if the caller may wait at once for the reply.
    _connection: Any = None

    def __await__(self) -> Generator[Any, None, None]:
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection._wait_at_once(current_task(self.get_loop()))
        return _await(self)

    def send(self, value: None, /) -> Any:
        """Makes one step: ends with the result, or returns itself for the task to await."""
        if self.done():
            raise StopIteration(self.result())
        self._is_driven = True
        # `Future.__await__` also sets this before it yields itself. Without it the task
        # reports that the future was yielded by mistake.
        self._asyncio_future_blocking = True
        return self

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """Raises the exception, as a coroutine does that does not catch it.

        A task that is cancelled before its first step calls this while the future is
        still open. Then the call is withdrawn, unless the end of the loop cancels it.
        """
        if not (self.done() or is_ending()):
            self.cancel()
        error = typ if isinstance(typ, BaseException) else val
        if not isinstance(error, BaseException):
            error = typ() if error is None else typ(error)
        raise error if tb is None else error.with_traceback(tb)

    def cancel(self, msg: Any | None = None) -> bool:
        """Withdraws the call if its message has not been written yet.

        At the end of the loop it does not withdraw the call of `asyncio.create_task(work(1))`.
        The asyncio task then ends when Redis has answered.
        """
        if self._is_driven and not self.done() and is_ending():
            self.add_done_callback(report_failure)
            return False
        return super().cancel(msg)

    def close(self) -> None:
        """Withdraws the call if its message has not been written yet."""
        self.cancel()
