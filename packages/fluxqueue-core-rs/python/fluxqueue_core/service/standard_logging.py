"""The bridge from `logging` to our lines; imported only where `logging` is used."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from .log import Fields, Logger


class Handler(logging.Handler):
    """Writes each record as one line of the given logger."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: Fields = {
                "timestamp": datetime.fromtimestamp(record.created, UTC),
                "level": record.levelname.lower(),
                "event": record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info:
                fields["exception"] = logging.Formatter().formatException(record.exc_info)
            self._logger.write(fields)
        except Exception:  # noqa: BLE001 - what logging asks of every handler
            self.handleError(record)


def adopt(logger: Logger) -> None:
    """Gives the root logger our handler and level, unless it has a handler."""
    if not logging.root.handlers:
        logging.root.addHandler(Handler(logger))
        logging.root.setLevel(logger.level)
