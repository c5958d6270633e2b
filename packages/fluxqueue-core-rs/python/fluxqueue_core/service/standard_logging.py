"""The bridge from `logging` to our lines; imported only where `logging` is used."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from .log import Fields, Logger

# Attributes of every record; the others are the application's `extra`.
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# OpenTelemetry's handlers send records elsewhere: they do not appear on stderr.
_EXPORTERS = ("opentelemetry.", "fluxqueue_core.telemetry.")


class Handler(logging.Handler):
    """Writes each record as one line of the given logger."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._logger.write(fields_of(record))
        except Exception:  # noqa: BLE001 - what logging asks of every handler
            self.handleError(record)


def fields_of(record: logging.LogRecord) -> Fields:
    """The fields of the record's line, with what the application gave as `extra`."""
    fields: Fields = {
        "timestamp": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
    }
    for name, value in vars(record).items():
        if name not in _OF_EVERY_RECORD:
            fields.setdefault(name, value)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


def adopt(logger: Logger) -> None:
    """Gives the root logger our handler and level, unless the application has
    given it a handler. Then only the export of lines, if there is one, is added."""
    root = logging.root
    if all(type(handler).__module__.startswith(_EXPORTERS) for handler in root.handlers):
        root.addHandler(Handler(logger))
        root.setLevel(logger.level)
    elif logger.export is not None:
        from fluxqueue_core.telemetry.log_export import ExportHandler

        root.addHandler(ExportHandler(logger.export, fields_of))
