"""Real scheduler processes for tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .logging_process import LoggingProcess


class SchedulerProcess(LoggingProcess):
    """One scheduler process; `lease=1` is `--lease 1`.

    Args:
        under: a command that is given the rest as its arguments.
        python: the interpreter, if not the one of the tests.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        under: Sequence[str] = (),
        python: str | Path = sys.executable,
        **options: object,
    ) -> None:
        super().__init__(
            folder, redis_url, "fluxqueue_scheduler", options, under=under, python=python
        )
