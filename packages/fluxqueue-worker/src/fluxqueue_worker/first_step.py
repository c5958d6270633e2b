"""Makes asyncio tasks whose first step the worker runs itself, at once.

A plain task takes two turns of the loop: one for its first step, one for the
callback at its end. Most of what a short task costs is that way, and a slot is
taken meanwhile. CPython 3.12 has `eager_start`, but there the coroutine runs
before anybody holds its task: a log line of it could not be told whose it is, and
no deadline could be set.

A task asks its loop for its first step as anybody would, by
`loop.call_soon(step, context=...)`. That call is answered here; all else that the
loop is asked for meanwhile (a finalizer may run at any allocation) goes its way.
The step is the one of asyncio: it enters the task, so `asyncio.current_task()` is
right, and runs in the task's own context.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any


class FirstSteps:
    """For one loop, in its thread, outside of any asyncio task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._call_soon = loop.call_soon
        self._answer = self._keep
        self._context: Context | None = None
        self._step: Callable[[], object] | None = None

    def make(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Task[Any]:
        """A task in a copy of the present context. `run` is to be called next.

        Raises:
            TypeError: it is not a coroutine.
        """
        loop = self._loop
        if loop.get_task_factory() is not None:
            # The application's factory decides when its tasks begin.
            return loop.create_task(coroutine, name=name)
        self._context = context = copy_context()
        loop.call_soon = self._answer  # type: ignore[assignment, method-assign]
        try:
            return Task(coroutine, loop=loop, name=name, context=context)
        finally:
            del loop.call_soon

    def _keep(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle | None:
        if context is None or context is not self._context:
            return self._call_soon(callback, *args, context=context)
        self._step = callback
        return None

    def run(self) -> None:
        """Runs the first step of the task that `make` has made."""
        step, context = self._step, self._context
        self._step = self._context = None
        if step is None or context is None:
            return
        try:
            context.run(step)
        except (SystemExit, KeyboardInterrupt):
            # The task has it as its exception as well.
            return
