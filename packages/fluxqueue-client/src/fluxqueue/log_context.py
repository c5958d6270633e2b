"""Middleware that adds the task to the log lines of an application: those of structlog and of
`logging`, in the task and in the threads and coroutines that it starts with its context."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from .middleware import Attempt, AttemptSteps, Middleware

# Every record has these, because a format may name them.
NAMES = ("task_id", "task_name", "queue", "attempt")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_fields: ContextVar[Mapping[str, Any]] = ContextVar("fluxqueue_log_fields", default=_NOTHING)


class LogContext(Middleware):
    """Adds `task_id`, `task_name`, `queue` and `attempt` (1 for the first) to log lines.

    structlog's `merge_contextvars` finds them. For `logging`, add a `TaskFilter` to your handlers.

    Args:
        headers: the headers of the call that are added too, by their names.
    """

    def __init__(self, headers: Sequence[str] = ()) -> None:
        self._headers = tuple(headers)

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        metadata = attempt.metadata
        headers = metadata.headers
        fields: dict[str, Any] = {name: headers[name] for name in self._headers if name in headers}
        fields |= {
            "task_id": metadata.task_id,
            "task_name": attempt.task_name,
            "queue": attempt.queue,
            "attempt": metadata.retries + 1,
        }
        token = _fields.set(fields)
        # Of an application that does not use it, structlog is not imported.
        variables = sys.modules.get("structlog.contextvars")
        bound = {} if variables is None else variables.bind_contextvars(**fields)
        yield
        if variables is not None:
            variables.reset_contextvars(**bound)
        _fields.reset(token)


def task_fields() -> Mapping[str, Any]:
    """Returns the fields of the current attempt; empty outside of one."""
    return _fields.get()


def add_task_fields(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A processor of structlog, for an application without `merge_contextvars`."""
    for name, value in _fields.get().items():
        event.setdefault(name, value)
    return event


class TaskFilter(logging.Filter):
    """A filter for handlers of `logging`: it lets each record pass, with the fields as attributes.

    Outside of a task they are empty text, so that a format can name them. An `extra` of the
    application wins.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        known = record.__dict__
        fields = _fields.get()
        for name, value in fields.items():
            known.setdefault(name, value)
        for name in NAMES:
            # The worker's own filter sets some to an empty text.
            if not known.get(name):
                known[name] = fields.get(name, "")
        return True
