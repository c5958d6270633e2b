"""A task that returns a coroutine has not done its work: nothing runs it.

It is what a missing `await` leaves, and what a plain `def` around an `async def` (most
decorators are one) returns. Such an attempt must not count as a success: the work would
be lost with no more than a warning.
"""

from __future__ import annotations

from types import CoroutineType
from typing import Any


def unawaited(coroutine: CoroutineType[Any, Any, Any]) -> TypeError:
    """The error of an attempt that returned `coroutine`.

    Those that call it look at the type themselves, since a call for each task costs
    more than the look. No class can derive from this one, so `is` is enough.
    """
    return TypeError(
        f"the task returned the coroutine {coroutine.__qualname__}(), which nothing runs; make the "
        f"task, and what decorates it, an `async def` that awaits it"
    )
