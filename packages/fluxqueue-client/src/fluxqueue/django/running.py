"""The work of a worker around each attempt at a task of Django: its result and its signals."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.utils import timezone

from fluxqueue.errors import BrokerError, BrokerUnavailable
from fluxqueue.middleware import (
    AsyncAttemptSteps,
    Attempt,
    AttemptOutcome,
    AttemptSteps,
    Middleware,
)

from . import declared
from .framework import (
    BaseTaskBackend,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)
from .records import WAITING_TTL, Records, ResultRecord
from .results import change, result_of

if TYPE_CHECKING:
    from fluxqueue.context import Context

P = ParamSpec("P")
T = TypeVar("T")

# The header of a message: the alias of the backend that has enqueued it.
BACKEND = "django.backend"

_STATUSES = {"succeeded": "SUCCESSFUL", "dead": "FAILED", "cancelled": "FAILED"}


class Runs(Middleware):
    """The attempts of this worker at tasks of Django.

    A receiver of a signal that raises is logged by Django, and the task goes on: otherwise the
    fault of a monitor would let tasks run twice.

    Args:
        result_ttl: seconds for which records are kept after the end; None: there are none.
    """

    def __init__(self, records: Records, result_ttl: float | None) -> None:
        self._records = records
        self._result_ttl = result_ttl
        # By the id of the task, which a worker runs once at a time.
        self._running: dict[str, TaskResult] = {}

    def context(self, ctx: Context) -> tuple[TaskContext, ...]:
        """Returns the first argument of a task that takes Django's context."""
        result = self._running[ctx.metadata.task_id]
        return (TaskContext(task_result=result),) if result.task.takes_context else ()

    def returned(self, ctx: Context, value: Any) -> Any:
        """Returns what a task returned as JSON has it.

        Raises:
            TypeError, ValueError: JSON can't carry it.
        """
        value = normalize_json(value)
        change(self._running[ctx.metadata.task_id], _return_value=value)
        return value

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        """Notes the attempt, and sends the signals in the thread of the task."""
        result, record = self._begin(attempt)
        sender = _sender(result)
        task_started.send_robust(sender=sender, task_result=result)
        try:
            outcome = yield
            self._end(result, record, outcome)
            if outcome.is_final:
                _finish(sender, result, outcome.error)
        finally:
            self._running.pop(result.id, None)

    async def attempt_async(self, attempt: Attempt) -> AsyncAttemptSteps:
        """Notes the attempt in another thread, and sends the signals in that of `sync_to_async`,
        where receivers may use the database."""
        result, record = await self._off_loop(self._begin, attempt)
        sender = _sender(result)
        await sync_to_async(task_started.send_robust)(sender=sender, task_result=result)
        try:
            outcome = yield
            await self._off_loop(self._end, result, record, outcome)
            if outcome.is_final:
                # Not by `asend_robust`: in its asyncio tasks no error is being handled.
                await sync_to_async(_finish)(sender, result, outcome.error)
        finally:
            self._running.pop(result.id, None)

    async def _off_loop(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._result_ttl is None:  # nothing in it waits
            return function(*args, **kwargs)
        from fluxqueue_control.aio.twins import in_thread

        return await in_thread(function, *args, **kwargs)

    def _begin(self, attempt: Attempt) -> tuple[TaskResult, ResultRecord]:
        """Notes that an attempt begins."""
        task_id = attempt.metadata.task_id
        record = None
        if self._result_ttl is not None:
            with suppress(BrokerError, BrokerUnavailable):
                record = self._records.read(task_id)
        if record is None:
            record = _record_of(attempt)
        now = timezone.now().timestamp()
        record.status, record.changed, record.attempted = "RUNNING", now, now
        record.started = record.started or now
        # As outcomes name it.
        record.workers.append(f"{os.uname().nodename}:{os.getpid()}")
        self._write(task_id, record, WAITING_TTL)
        result = result_of(record, task_id)
        self._running[task_id] = result
        return result, record

    def _end(self, result: TaskResult, record: ResultRecord, outcome: AttemptOutcome) -> None:
        """Notes how an attempt has ended."""
        error = outcome.error
        if error is not None and outcome.status != "snoozed":
            kind = type(error)
            record.errors.append((f"{kind.__module__}.{kind.__qualname__}", _traceback(error)))
        record.status = _STATUSES.get(outcome.status, "READY")
        record.changed = timezone.now().timestamp()
        ttl = self._result_ttl if outcome.is_final else WAITING_TTL + (outcome.delay or 0)
        self._write(result.id, record, ttl or 0)
        status = TaskResultStatus(record.status)
        errors = [TaskError(exception_class_path=path, traceback=t) for path, t in record.errors]
        change(result, status=status, errors=errors)
        if outcome.is_final:
            change(result, finished_at=timezone.now())

    def _write(self, task_id: str, record: ResultRecord, ttl: float) -> None:
        """Writes a record. If Redis does not take it, the attempt goes on: the outcome says how
        the task has ended."""
        if self._result_ttl is not None:
            with suppress(BrokerError, BrokerUnavailable):
                self._records.write(task_id, record, ttl)


def _sender(result: TaskResult) -> type[Any]:
    """The class of the backend that has enqueued a task; a worker may not have its alias."""
    alias = result.backend if result.backend in task_backends.settings else None
    return BaseTaskBackend if alias is None else type(task_backends[alias])


def _record_of(attempt: Attempt) -> ResultRecord:
    """The record of a task that has none: results are off, or it has waited too long."""
    task = declared.find(attempt.task_name)
    known = {} if task is None else {"backend": task.backend, "priority": task.priority}
    headers = attempt.metadata.headers
    return ResultRecord(
        path=attempt.task_name,
        queue=attempt.queue,
        backend=headers.get(BACKEND) or known.get("backend", "default"),
        args=list(attempt.args),
        kwargs=attempt.kwargs,
        priority=known.get("priority", 0),
        takes_context=task is not None and task.takes_context,
        enqueued=attempt.metadata.enqueued_at.timestamp(),
        # The workers of earlier attempts are not known. Their number is `attempts`.
        workers=[""] * attempt.metadata.retries,
    )


def _traceback(error: BaseException) -> str:
    from fluxqueue_worker.failure_text import traceback_or_reason  # this process is a worker

    return traceback_or_reason(error)


def _finish(sender: type[Any], result: TaskResult, error: BaseException | None) -> None:
    """Sends `task_finished` while the error is being handled: Django's own receiver takes it
    from `sys.exc_info()`."""
    if error is None:
        task_finished.send_robust(sender, task_result=result)
        return
    trace = error.__traceback__
    try:
        raise error
    except BaseException:  # noqa: BLE001 - the task's own, which the worker settles
        task_finished.send_robust(sender, task_result=result)
    finally:
        error.__traceback__ = trace
