"""Log lines as log records of OpenTelemetry.

A record has the line's event as its body and its other fields as attributes. Its
trace is that of the context in which the line is written. The SDK's batch
processor takes it without waiting, and drops records beyond its limit.

The export's own lines are not exported, or it would never end: lines of
`opentelemetry`, lines written while a batch is being sent, and lines written while a
record is being made.

Why: docs/decisions/0023-lines-are-exported-where-logs-are-asked-for-by-name.md
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value

from fluxqueue_core import __version__, json_codec

from . import semconv as s
from .instruments import printable

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

Fields = Mapping[str, Any]

# Name in a line → name and number of the log data model of OpenTelemetry.
_SEVERITIES = {
    "debug": ("DEBUG", SeverityNumber.DEBUG),
    "info": ("INFO", SeverityNumber.INFO),
    "warning": ("WARN", SeverityNumber.WARN),
    "error": ("ERROR", SeverityNumber.ERROR),
    "critical": ("FATAL", SeverityNumber.FATAL),
}
_NOT_ATTRIBUTES = ("timestamp", "level", "event", "logger", "exception", "trace_id", "span_id")


class _Busy(threading.local):
    value = False


class LogExport:
    """Makes records of lines, for the provider that is set. Any thread may call
    it; it never raises."""

    def __init__(self) -> None:
        self._own = _logs.get_logger(s.SCOPE, __version__, schema_url=s.SCHEMA_URL)
        self._loggers: dict[str, Logger] = {}
        self._busy = _Busy()

    def __call__(self, fields: Fields) -> None:
        """Exports a line: `timestamp`, `level`, `event`, and more."""
        name = str(fields.get("logger", ""))
        if name.partition(".")[0] == "opentelemetry" or self._busy.value:
            return
        if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        self._busy.value = True
        try:
            self._emit(name, fields)
        except Exception:  # noqa: BLE001 - the line itself is still written
            pass
        finally:
            self._busy.value = False

    def _emit(self, name: str, fields: Fields) -> None:
        level = str(fields["level"])
        text, number = _SEVERITIES.get(level, (level.upper(), SeverityNumber.UNSPECIFIED))
        attributes = {
            printable(str(key)): attribute(value)
            for key, value in fields.items()
            if key not in _NOT_ATTRIBUTES and value is not None
        }
        if exception := fields.get("exception"):
            attributes[s.EXCEPTION_STACKTRACE] = printable(str(exception))
        timestamp: datetime = fields["timestamp"]
        self._logger(name).emit(
            timestamp=round(timestamp.timestamp() * 1e9),
            severity_text=text,
            severity_number=number,
            body=printable(str(fields["event"])),
            attributes=attributes,
        )

    def _logger(self, name: str) -> Logger:
        if not name:
            return self._own
        found = self._loggers.get(name)
        if found is None:
            found = self._loggers[name] = _logs.get_logger(name)
        return found


def attribute(value: object) -> str | bool | int | float:
    """Returns the value in a type of OTLP. Other types become text, or one such value
    would cost its whole batch."""
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple | dict):
        try:
            return json_codec.dumps(value, repr).decode()
        except TypeError:
            pass
    return printable(str(value))


class ExportHandler(logging.Handler):
    """A handler for an application with its own handlers of `logging`.

    Args:
        fields_of: makes a line's fields of a record.
    """

    def __init__(
        self, export: Callable[[Fields], None], fields_of: Callable[[logging.LogRecord], Fields]
    ) -> None:
        super().__init__()
        self._export = export
        self._fields_of = fields_of

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._export(self._fields_of(record))
        except Exception:  # noqa: BLE001 - what logging asks of every handler
            self.handleError(record)


def structlog_exporter(
    export: Callable[[Fields], None], now: Callable[[], datetime]
) -> Callable[[Any, str, Any], Any]:
    """Returns a structlog processor that exports each event; put it before the last one,
    which turns the event into text."""

    def process(logger: Any, method: str, event: Any) -> Any:
        if isinstance(event, Mapping):
            fields = {k: v for k, v in event.items() if k != "exc_info"}
            if exc_info := event.get("exc_info"):
                fields.setdefault("exception", _traceback(exc_info))
            fields |= {"timestamp": now(), "level": event.get("level", method)}
            export({"event": "", **fields})
        return event

    return process


def _traceback(exc_info: object) -> str:
    """Formats structlog's `exc_info`: an exception, a triple, or true."""
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    else:
        error = exc_info if isinstance(exc_info, BaseException) else sys.exception()
    return "".join(traceback.format_exception(error)) if error is not None else ""
