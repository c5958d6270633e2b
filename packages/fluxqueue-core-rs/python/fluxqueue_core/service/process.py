"""The start and the end of a long-running process: it adopts `logging` at its start, and
bounds the time of its end."""

from __future__ import annotations

import os
import sys
import threading

from .log import get_logger

# Seconds for the interpreter's shutdown: for the application's exit handlers, and
# for an OpenTelemetry SDK that is not ours and whose collector hangs.
EXIT_PATIENCE = 5.0


def adopt_standard_logging() -> None:
    """Sends what the application logs with `logging` to our lines, unless the
    application has its own handlers or does not use `logging` at all."""
    if "logging" in sys.modules:
        # Imported here: a process that does not use `logging` does not load it.
        from .standard_logging import adopt

        adopt(get_logger())


def limit_exit(code: int) -> None:
    """Gives the process five seconds to end; then ends it with this exit code."""
    watchdog = threading.Timer(EXIT_PATIENCE, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()
