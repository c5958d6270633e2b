"""A task that returns a coroutine has not done its work: nothing runs it.

It is what a missing `await` leaves, and what a plain `def` around an `async def` (most
decorators are one) returns. Such an attempt must not count as a success: the work would
be lost with no more than a warning.
"""

from __future__ import annotations

from types import CoroutineType


def unawaited(result: object) -> TypeError | None:
    """The error of an attempt that returned `result`; None where it is no coroutine."""
    if not isinstance(result, CoroutineType):
        return None
    return TypeError(
        f"the task returned the coroutine {result.__qualname__}(), which nothing runs; make the "
        f"task, and what decorates it, an `async def` that awaits it"
    )
