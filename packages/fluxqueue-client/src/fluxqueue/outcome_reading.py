"""Reads the outcome that is kept of a task: its value, or the error to raise."""

from __future__ import annotations

from typing import Any

from fluxqueue_core import json_codec

from .errors import ResultError, TaskCancelled, TaskExpired, TaskFailed, TaskLost
from .progress import Progress, decode
from .return_value import ReturnValue

_ERRORS: dict[str, type[ResultError]] = {
    "cancelled": TaskCancelled,
    "expired": TaskExpired,
    "worker_lost": TaskLost,
}
# How the text of the error begins.
_ENDED = {
    "cancelled": "was cancelled",
    "expired": "expired",
    "worker_lost": "lost its worker too often",
    "failed": "failed",
    "rejected": "was rejected",
    "unknown_task": "is not known to any worker",
    "arguments": "got arguments that do not fit",
    "malformed": "is not a message of this protocol",
    "struck": "was stopped by a strike",
}


# A reader raises these if something else than the worker's JSON is there.
_GARBAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError)


def state_of(outcome: bytes, task_id: str, queue: str) -> str:
    """Returns how the task ended: `succeeded`, or a reason of the dead set.

    Raises:
        ResultError: it is not an outcome.
    """
    try:
        return str(json_codec.loads(outcome)["state"])
    except _GARBAGE:
        raise _unreadable(task_id, queue) from None


def progress_of(report: bytes, task_id: str, queue: str) -> Progress:
    """Returns how far the task is.

    Raises:
        ResultError: it is not a report.
    """
    try:
        return decode(report)
    except _GARBAGE:
        raise _unreadable(task_id, queue) from None


def value_of(outcome: bytes, returned: ReturnValue | None, task_id: str, queue: str) -> Any:
    """Returns what the task returned.

    Args:
        returned: says of which type the value is; None: its JSON form.

    Raises:
        ResultError: the task has no value, or one that does not fit its annotation.
    """
    ended: ResultError | None = None
    value: Any = None
    try:
        read: dict[str, Any] = json_codec.loads(outcome)
        if read["state"] == "succeeded":
            value = read["value"]
        else:
            ended = _error(read, task_id, queue)
    except _GARBAGE:
        ended = _unreadable(task_id, queue)
    if ended is not None:
        raise ended
    if returned is None:
        return value
    try:
        return returned.decode(value)
    except ValueError as error:
        raised = ResultError(f"task {task_id} (queue {queue!r}): its result {error}")
        raise _filled(raised, read, task_id, queue) from None


def _unreadable(task_id: str, queue: str) -> ResultError:
    error = ResultError(
        f"task {task_id} (queue {queue!r}): what Redis has in place of its outcome can't be read; "
        f"another program has written it, or a newer release of the worker"
    )
    error.task_id, error.queue = task_id, queue
    return error


def _error(read: dict[str, Any], task_id: str, queue: str) -> ResultError:
    state = str(read["state"])
    error: dict[str, Any] = read.get("error") or {}
    ended = _ENDED.get(state, f"is dead ({state})")
    attempts = int(read.get("attempts") or 0)
    after = f" after {attempts} attempts" if attempts > 1 else ""
    if state == "expired" and attempts:
        # It has begun: what came too late is a retry. Snoozes and lost workers are not counted.
        noun = "attempt" if attempts == 1 else "attempts"
        after = f" before it began again, after {attempts} {noun}"
    said = ": ".join(part for part in (error.get("type"), error.get("text")) if part)
    text = f"task {task_id} (queue {queue!r}) {ended}{after}" + (f": {said}" if said else "")
    raised = _ERRORS.get(state, TaskFailed)(text)
    if trace := error.get("traceback"):
        raised.add_note(f"In the worker:\n{trace.rstrip()}")
    return _filled(raised, read, task_id, queue)


def _filled(raised: ResultError, read: dict[str, Any], task_id: str, queue: str) -> ResultError:
    error: dict[str, Any] = read.get("error") or {}
    raised.task_id, raised.queue, raised.state = task_id, queue, str(read["state"])
    raised.error_type, raised.error_text = error.get("type"), str(error.get("text") or "")
    raised.remote_traceback = error.get("traceback")
    raised.attempts, raised.worker = int(read.get("attempts") or 0), read.get("worker")
    return raised
