"""Real scheduler processes for tests."""

from __future__ import annotations

import sys
from pathlib import Path

from .logging_process import LoggingProcess


class SchedulerProcess(LoggingProcess):
    """One scheduler process; `lease=1` is `--lease 1`.

    Args:
        python: the interpreter, if not the one of the tests.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        python: str | Path = sys.executable,
        **options: object,
    ) -> None:
        super().__init__(folder, redis_url, "fluxqueue_scheduler", options, python=python)
