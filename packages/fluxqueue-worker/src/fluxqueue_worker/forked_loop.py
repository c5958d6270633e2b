"""Ends a child process that an async task has forked, on CPython 3.14 and later.

There the loop is not the running loop in the child: asyncio raises an error after the step that
forked, and the asyncio task never goes on. Before 3.14 the task ends as in its parent.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, NoReturn

from .forked import leave


def end_children(loop: asyncio.AbstractEventLoop) -> None:
    """Ends each child that a task of `loop` forks, as soon as the task's step has ended. The first
    step of an attempt is not one of the loop's: see `leave_after`."""
    forking: asyncio.Task[Any] | None = None

    def before() -> None:
        nonlocal forking
        forking = asyncio.current_task(loop) if asyncio._get_running_loop() is loop else None

    def in_parent() -> None:
        nonlocal forking
        forking = None

    def in_child() -> None:
        if forking is not None:
            loop.set_exception_handler(ended)

    def ended(_: object, context: dict[str, Any]) -> None:
        # Other calls come from finalizers, which may run in the middle of the step.
        if forking is not None and "handle" in context:
            leave_after(forking, context["exception"])

    if sys.version_info >= (3, 14):
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def leave_after(task: asyncio.Task[Any], error: BaseException) -> NoReturn:
    """Ends the child after a step of `task` that ended with `error` of asyncio. The outcome of the
    task counts, if it has one."""
    if not task.done():
        leave(error)
    leave(asyncio.CancelledError() if task.cancelled() else task.exception())
