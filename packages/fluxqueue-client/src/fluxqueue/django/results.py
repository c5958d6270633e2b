"""Makes the `TaskResult` of a record and of the outcome that is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from fluxqueue_core import json_codec

from fluxqueue.errors import ResultError
from fluxqueue.outcome_reading import value_of

from . import declared
from .framework import Task, TaskError, TaskResult, TaskResultStatus
from .records import ResultRecord


def new_result(task: Task, task_id: str, args: Any, kwargs: Any, backend: str) -> TaskResult:
    """Returns the result of a task that is about to be enqueued.

    Raises:
        TypeError, ValueError: JSON can't carry an argument.
    """
    return TaskResult(
        task=task,
        id=task_id,
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=args,
        kwargs=kwargs,
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def change(result: TaskResult, **values: Any) -> None:
    """Sets attributes of a result, which Django has frozen."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def new_record(result: TaskResult) -> ResultRecord:
    """Returns the record of a task that is about to be enqueued."""
    task = result.task
    return ResultRecord(
        path=task.module_path,
        queue=task.queue_name,
        backend=result.backend,
        args=result.args,
        kwargs=result.kwargs,
        priority=task.priority,
        takes_context=task.takes_context,
        run_after=None if task.run_after is None else task.run_after.timestamp(),
        enqueued=seconds(result.enqueued_at),
        changed=timezone.now().timestamp(),
    )


def result_of(record: ResultRecord, task_id: str) -> TaskResult:
    """Returns the result that a record says, without the outcome."""
    changes: dict[str, Any] = {
        "priority": record.priority,
        "queue_name": record.queue,
        "backend": record.backend,
        "run_after": moment(record.run_after),
        "takes_context": record.takes_context,
    }
    task = declared.rebuilt(record.path, **changes)
    result = new_result(task, task_id, record.args, record.kwargs, record.backend)
    change(
        result,
        status=TaskResultStatus(record.status),
        enqueued_at=moment(record.enqueued),
        started_at=moment(record.started),
        last_attempted_at=moment(record.attempted),
        errors=[TaskError(exception_class_path=path, traceback=t) for path, t in record.errors],
        worker_ids=list(record.workers),
    )
    return result


def ended(result: TaskResult, outcome: bytes) -> None:
    """Gives a result what the outcome of its task says.

    Raises:
        ResultError: it is not an outcome.
    """
    queue: str = result.task.queue_name
    try:
        value = value_of(outcome, None, result.id, queue)
    except ResultError as error:
        if not error.state:
            raise
        status = TaskResultStatus.FAILED
        # Else the record has the error: the last attempt has written it.
        if result.status != TaskResultStatus.FAILED:
            result.errors.append(_error_of(error))
    else:
        status = TaskResultStatus.SUCCESSFUL
        change(result, _return_value=value)
    finished = json_codec.loads(outcome).get("finished")
    at = moment(finished / 1000 if finished else None)
    if at is not None and result.last_attempted_at is not None:
        # An outcome has milliseconds: a quick task would end before it begins.
        at = max(at, result.last_attempted_at)
    change(result, status=status, finished_at=at)


def _error_of(error: ResultError) -> TaskError:
    path = error.error_type
    if path is None:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
    elif "." not in path:
        path = f"builtins.{path}"
    trace = error.remote_traceback or f"{path}: {error}\n"
    return TaskError(exception_class_path=path, traceback=trace)


def moment(at: float | None) -> datetime | None:
    """Returns a time as the project has times: aware, or naive without USE_TZ."""
    if at is None:
        return None
    aware = datetime.fromtimestamp(at, UTC)
    return aware if settings.USE_TZ else timezone.make_naive(aware)


def seconds(at: datetime | None) -> float | None:
    """Returns a time of the project in seconds since 1970."""
    return None if at is None else at.timestamp()
