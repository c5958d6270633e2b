"""The end of a long-running process, which comes within seconds whatever others
have left to do at exit."""

from __future__ import annotations

import os
import threading

# Seconds that the interpreter's end may take: what the application does at exit,
# and an SDK of OpenTelemetry that is not ours and whose collector hangs.
EXIT_PATIENCE = 5.0


def limit_exit(code: int) -> None:
    """From now on the process has five seconds to end with this exit code; then
    it is ended with it."""
    watchdog = threading.Timer(EXIT_PATIENCE, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()
