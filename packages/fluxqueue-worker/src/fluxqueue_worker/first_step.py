"""Makes asyncio tasks whose first step the worker itself runs, at once.

A plain task takes two turns of the loop: one for its first step, one for the callback at
its end. These turns are most of the cost of a short task, which holds a slot meanwhile.
CPython 3.12 has `eager_start`, but it runs the coroutine before the worker has its task:
a log line of the coroutine would have no task id, and no deadline could be set.

A task asks its loop for its first step by `loop.call_soon(step, context=...)`. This module
answers that call. All other calls to the loop meanwhile (a finalizer may run at any
allocation) reach the loop. The step is asyncio's own: it enters the task, so
`asyncio.current_task()` is right, and runs in the task's context.

When Python 3.11 is no longer supported (October 2027), measure `eager_start` again.
Why: docs/decisions/0036-async-tasks-take-their-first-step-at-once.md
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class FirstSteps:
    """Makes tasks for one loop. Use it in the loop's thread, outside of asyncio tasks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._attributes = vars(loop)
        self._call_soon = loop.call_soon
        self._answer = self._keep
        self._context: Context | None = None
        self._step: Callable[[], object] | None = None

    def make(self, coroutine: Coroutine[Any, Any, Any], name: str, context: Context) -> Task[Any]:
        """Makes a task that runs in the context. Call `run` next, in the context.

        Never asks the task factory of the loop, which tasks may set: it may begin the task
        at once, make an object of another class, or raise.

        Raises:
            TypeError: the argument is not a coroutine.
        """
        attributes = self._attributes
        theirs = attributes.get("call_soon")
        self._context = context
        attributes["call_soon"] = self._answer
        try:
            return Task(coroutine, loop=self._loop, name=name, context=context)
        finally:
            if theirs is None:
                del attributes["call_soon"]
            else:  # the application has replaced the method
                attributes["call_soon"] = theirs

    def _keep(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle | None:
        if context is None or context is not self._context:
            return self._call_soon(callback, *args, context=context)
        self._step = callback
        return None

    def run(self) -> None:
        """Runs the first step of the task that `make` made."""
        step = self._step
        self._step = self._context = None
        assert step is not None
        try:
            step()
        except (SystemExit, KeyboardInterrupt):
            # The task has it as its exception too.
            return
