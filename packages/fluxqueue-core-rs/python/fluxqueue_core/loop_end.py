"""The end of an event loop: sends the calls of async tasks that were not awaited.

A call is written at the end of the loop's turn, and if the loop has no connection yet, a
few turns later. If the call is the last act of the loop, that moment may never come. So
each loop with a connection has an asynchronous generator that is open until
`loop.shutdown_asyncgens()` closes it, which `asyncio.run` does before it closes the loop.
Before that it cancels all asyncio tasks, also those of `create_task(work(1))`: nothing else
would send their calls, so `EnqueueFuture` keeps them.

Why: docs/decisions/0062-no-call-is-lost-without-a-word.md
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from traceback import FrameSummary
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

from .errors import FluxQueueWarning

# The future of a call, and the name of its task for messages.
Call = tuple["asyncio.Future[object]", str]


class Connection(Protocol):
    """The part of the core's `LoopConnection` that this module uses."""

    def _is_loop_closed(self) -> bool: ...
    def _unanswered(self) -> list[Call]: ...


# A generator lives as long as its connection.
_generators: WeakKeyDictionary[Connection, AsyncGenerator[None, None]] = WeakKeyDictionary()


# Of asyncio, uvloop, anyio and our worker; of aiohttp.
_CANCELLING = ("_cancel_all_tasks", "_cancel_tasks")


def is_ending() -> bool:
    """Whether the running loop is about to end, and the current step is a part of cancelling
    all that is left in it. No loop has an attribute for that, but the callers are on the stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in _CANCELLING:
            return True
        frame = frame.f_back
    return False


def report_failure(future: asyncio.Future[Any]) -> None:
    """Reports the error of a call that nothing awaits."""
    if not future.cancelled() and (error := future.exception()) is not None:
        _report(error)


def watch(connection: Connection) -> None:
    """Lets the running loop answer the calls of its connection before it is closed."""
    generator = _until_the_end(ref(connection))
    _generators[connection] = generator
    with contextlib.suppress(StopIteration):
        generator.__anext__().send(None)  # the first step makes the loop know the generator


async def _until_the_end(connection: ref[Connection]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        if (known := connection()) is not None and (calls := _open_calls(known)):
            _warn(
                calls,
                "not awaited when the event loop ended, and FluxQueue sends what is left before "
                "the loop closes",
            )
            await _answers([future for future, _ in calls])


async def _answers(futures: list[asyncio.Future[object]]) -> None:
    for answer in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(answer, Exception):
            _report(answer)


def _report(error: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "a call that was not awaited has failed", "exception": error}
    )


def report_lost(connection: Connection) -> None:
    """Warns of the calls of a loop that was closed before Redis answered them."""
    _warn(
        _open_calls(connection),
        "not answered when the event loop was left for good, and may be lost",
    )


def _open_calls(connection: Connection) -> list[Call]:
    return [(future, label) for future, label in connection._unanswered() if not future.done()]


def _warn(calls: Iterable[Call], how: str) -> None:
    counts = Counter((label, _line(future)) for future, label in calls)
    for (label, line), count in counts.items():
        number = "1 call was" if count == 1 else f"{count} calls were"
        message = (
            f"{label}: {number} {how}; await each call, or write `.enqueue(...)`, which returns "
            f"when Redis has the task"
        )
        if line is None:
            message += "; PYTHONASYNCIODEBUG=1 makes this warning name the line of the call"
            warnings.warn(message, FluxQueueWarning, stacklevel=2)
        else:
            warnings.warn_explicit(message, FluxQueueWarning, *line)


def _line(future: asyncio.Future[object]) -> tuple[str, int] | None:
    """Returns file and line of a call; None unless asyncio's debug mode has kept them.

    To keep them without that mode would cost each call more than the warning is worth.
    """
    stack: Sequence[FrameSummary] = getattr(future, "_source_traceback", None) or ()
    client = getattr(sys.modules.get("fluxqueue"), "__file__", None) or __file__
    own = {os.path.dirname(__file__), os.path.dirname(client)}
    callers = (frame for frame in reversed(stack) if os.path.dirname(frame.filename) not in own)
    frame = next(callers, None)
    return None if frame is None else (frame.filename, frame.lineno or 0)


@atexit.register
def _report_all() -> None:
    for connection in list(_generators):
        report_lost(connection)
