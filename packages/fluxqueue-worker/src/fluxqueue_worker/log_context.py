"""Adds the task to each log line that is written while it runs.

This costs nothing per task. A line asks, when it is written, which attempt runs in its thread
or event loop, and asks OpenTelemetry for the current span.

Three kinds of lines get `task_id` and, if tasks are traced, `trace_id` and `span_id`: the
worker's own, those of `logging` (as attributes of the record, for the application's
formatters), and those of structlog, if the application has imported it: a processor runs
before the application's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Attempt
from fluxqueue_core.service.log import Logger

if TYPE_CHECKING:
    import logging

CurrentAttempt = Callable[[], Attempt | None]
Fields = MutableMapping[str, Any]
NAMES = ("task_id", "trace_id", "span_id")


class TaskFields:
    """Adds the fields to a line.

    Args:
        traced: whether tasks have spans; if not, this never imports `opentelemetry`.
    """

    def __init__(self, current_attempt: CurrentAttempt, traced: bool) -> None:
        self._current_attempt = current_attempt
        self._traced = traced

    def add(self, fields: Fields) -> None:
        """Sets the fields that are known and not set yet."""
        if "task_id" not in fields and (attempt := self._current_attempt()) is not None:
            fields["task_id"] = attempt.task_id
        if self._traced:
            self._add_trace(fields)

    def _add_trace(self, fields: Fields) -> None:
        from fluxqueue_core.telemetry.propagation import TASK_ID_KEY
        from opentelemetry.context import get_value
        from opentelemetry.trace import get_current_span

        span = get_current_span().get_span_context()
        if span.is_valid and "trace_id" not in fields:
            fields["trace_id"] = f"{span.trace_id:032x}"
            fields["span_id"] = f"{span.span_id:016x}"
        # A coroutine or thread that the task has started with its context.
        if "task_id" not in fields and (task_id := get_value(TASK_ID_KEY)) is not None:
            fields["task_id"] = task_id

    def process(self, logger: Any, method: str, event: Fields) -> Fields:
        """A structlog processor."""
        self.add(event)
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """A filter for a handler of `logging`. It sets all three, because a format may
        name them; an `extra` of the application wins."""
        found: dict[str, Any] = {}
        self.add(found)
        for name in NAMES:
            if not hasattr(record, name):
                setattr(record, name, found.get(name, ""))
        return True


def enrich(logger: Logger, current_attempt: CurrentAttempt, traced: bool) -> TaskFields:
    """Installs the fields for the lines of this logger alone."""
    fields = TaskFields(current_attempt, traced)
    logger.enrich = fields.add
    return fields


def install(logger: Logger, current_attempt: CurrentAttempt, traced: bool) -> None:
    """Installs the fields. Call it after the application's modules are loaded."""
    fields = enrich(logger, current_attempt, traced)
    if (logging := sys.modules.get("logging")) is not None:
        for handler in logging.root.handlers:
            handler.addFilter(fields.filter)
    if (structlog := sys.modules.get("structlog")) is not None:
        processors = structlog.get_config()["processors"]
        added = [fields.process, *processors]
        if logger.export is not None and not _ends_in_logging(structlog):
            # Before the last processor, which turns the event into text.
            added.insert(len(added) - 1, _exporter(logger.export))
        if isinstance(processors, list):
            # In place, because loggers that are already bound hold this list.
            processors[:] = added
        else:
            structlog.configure(processors=added)


def _ends_in_logging(structlog: Any) -> bool:
    """Whether structlog passes its lines to `logging`, which exports them."""
    stdlib = sys.modules.get("structlog.stdlib")
    factory = structlog.get_config()["logger_factory"]
    return stdlib is not None and isinstance(factory, stdlib.LoggerFactory)


def _exporter(export: Callable[[Mapping[str, Any]], None]) -> Callable[[Any, str, Any], Any]:
    from fluxqueue_core.telemetry.log_export import structlog_exporter

    return structlog_exporter(export, lambda: datetime.now(UTC))
