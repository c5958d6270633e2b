"""The one seam around an attempt at a task: how it runs, and how it is settled.

A middleware wraps two functions. It does so once, when the worker is put together, so
a worker without middleware calls the plain functions and pays nothing. Internal: the
interface may change without notice. Telemetry is one; `around_attempts.py` is another, which
runs the application's. Why: docs/decisions/0053-middleware-wraps-once.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fluxqueue.options import Terms
from fluxqueue_core import Attempt

from .context import build_context
from .error_text import own_frame
from .kept_results import keeping_run
from .outcome import Outcome

# Calls the task with the attempt's arguments and returns its result. For an async task the
# result is its coroutine. Both run in the context of the attempt (`attempt_contexts`).
# The dict is the `Context.thread_storage` of this thread, or of the event loop.
Run = Callable[[Attempt, dict[str, Any]], Any]
# Settles an attempt. Returns False if the lease was lost and the outcome is void.
Settle = Callable[[Attempt, Outcome], bool]


class Middleware(Protocol):
    """Wraps each attempt of a worker."""

    def around_run(self, task: Runnable, run: Run) -> Run:
        """Returns the function that runs the task in place of `run`, usually by calling it.

        Called once per task. Mark the function that it returns with `own_frame`, so
        that tracebacks begin in the application.
        """

    def around_settle(self, settle: Settle) -> Settle:
        """Returns the function that settles attempts in place of `settle`.

        It must call `settle` exactly once with the attempt and the outcome, return its
        result and let its exceptions pass: an outcome that does not reach the consumer
        leaves the task claimed until the worker ends.
        """


class Runnable(Protocol):
    """The part of a `RegisteredTask` that says how the task is called."""

    is_async: bool
    func: Callable[..., Any]
    timeout: float | None
    terms: Terms
    context_type: Callable[..., Any] | None
    encode: Callable[[Any], bytes] | None


def wrapped_run(task: Runnable, middleware: Sequence[Middleware]) -> Run | None:
    """The function that runs the task, with the first middleware outermost. None for a
    plain task, which the loops call themselves."""
    if not (task.context_type or middleware or task.encode or _runs_code(task)):
        return None
    run = _plain(task.func) if task.context_type is None else _with_context(task)
    if task.encode is not None:
        run = keeping_run(run, task.encode, task.is_async)
    for each in reversed(middleware):
        run = each.around_run(task, run)
    return run


def wrapped_settle(settle: Settle, middleware: Sequence[Middleware]) -> Settle:
    """The function that settles attempts, with the first middleware outermost."""
    for each in reversed(middleware):
        settle = each.around_settle(settle)
    return settle


def _runs_code(task: Runnable) -> bool:
    """Whether the call of an async task runs code, which belongs into the attempt's context:
    the wrapper of a decorator does, an `async def` does not."""
    func = task.func
    return task.is_async and not (
        inspect.isfunction(func) and func.__code__.co_flags & inspect.CO_COROUTINE
    )


def _plain(func: Callable[..., Any]) -> Run:
    @own_frame
    def run(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
        kwargs = attempt.kwargs
        return func(*attempt.args) if kwargs is None else func(*attempt.args, **kwargs)

    return run


def _with_context(task: Runnable) -> Run:
    func, context_type = task.func, task.context_type
    assert context_type is not None

    @own_frame
    def run(attempt: Attempt, thread_storage: dict[str, Any]) -> Any:
        args, kwargs = attempt.args, attempt.kwargs
        context = build_context(context_type, attempt, thread_storage)
        return func(context, *args) if kwargs is None else func(context, *args, **kwargs)

    return run
