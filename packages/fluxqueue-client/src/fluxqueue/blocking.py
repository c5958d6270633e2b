"""Notices a blocking call in a thread whose event loop runs.

Such a call works, but nothing else in that loop runs until Redis has answered. If its
result is awaited as well, the call is refused: the `await` would fail after the task has
been enqueued, and an application that tries again would enqueue the task twice.

Why: docs/decisions/0062-no-call-is-lost-without-a-word.md
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import FrameType

from .errors import FluxQueueWarning

_PACKAGE = __name__.partition(".")[0] + "."


def _find_running_loop() -> object | None:
    """Stands in for asyncio's function until the application has imported asyncio."""
    global running_loop
    found = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    if found is None:
        return None
    running_loop = found
    return running_loop()


# Returns the event loop that runs in this thread; None if none does.
running_loop: Callable[[], object | None] = _find_running_loop


def warn_of_blocked_loop(where: str, instead: str) -> None:
    """Warns that the current call blocks the running event loop.

    Args:
        where: names the task, for the message.
        instead: the call to await in its place.

    Raises:
        TypeError: the result of the call would be awaited. Nothing has been enqueued.
    """
    caller: FrameType | None = sys._getframe(1)
    level = 2
    while caller is not None and str(caller.f_globals.get("__name__")).startswith(_PACKAGE):
        caller = caller.f_back
        level += 1
    if caller is not None and _awaits(caller):
        raise TypeError(
            f"{where}: this call blocks and returns nothing to await; write `await {instead}`; "
            f"nothing was enqueued"
        )
    warnings.warn(
        f"{where}: this call blocks the event loop until Redis has answered, and returns nothing "
        f"to await or to gather; write `await {instead}`",
        FluxQueueWarning,
        stacklevel=level,
    )


def warn_of_blocked_wait(subject: str, until: str, instead: str) -> None:
    """Warns if the current call about tasks that are in Redis blocks the running event loop.

    Args:
        subject: names the task, with a colon, or ''.
        until: says when the call returns.
        instead: the code to await in its place.
    """
    if running_loop() is not None:
        warnings.warn(
            f"{subject}this call blocks the event loop until {until}; write `await {instead}`",
            FluxQueueWarning,
            stacklevel=3,
        )


def _awaits(caller: FrameType) -> bool:
    """Whether the instruction after the current call is the beginning of an `await`."""
    from opcode import opmap  # a thread without a loop does not come here

    code, at = caller.f_code.co_code, caller.f_lasti + 2
    while at < len(code) and code[at] == opmap["CACHE"]:
        at += 2
    return at < len(code) and code[at] == opmap["GET_AWAITABLE"]
