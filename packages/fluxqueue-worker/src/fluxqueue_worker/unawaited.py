"""The error of a task that returns a coroutine: nothing runs it, so its work is not done.

A missing `await` leaves a coroutine, and so does a plain `def` around an `async def`, as
most decorators are. Such an attempt must not count as a success: the work would be lost
with only a warning.
"""

from __future__ import annotations

from types import CoroutineType
from typing import Any


def unawaited(coroutine: CoroutineType[Any, Any, Any]) -> TypeError:
    """The error of an attempt that returned `coroutine`.

    The callers check the type themselves, because a call for each task costs more than
    the check. No class can derive from `CoroutineType`, so `is` is enough.
    """
    return TypeError(
        f"the task returned the coroutine {coroutine.__qualname__}(), which nothing runs; make the "
        f"task, and what decorates it, an `async def` that awaits it"
    )
