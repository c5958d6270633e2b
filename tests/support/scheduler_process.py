"""Real scheduler processes for tests."""

from __future__ import annotations

from pathlib import Path

from .logging_process import LoggingProcess


class SchedulerProcess(LoggingProcess):
    """One scheduler process; `lease=1` is `--lease 1`."""

    def __init__(self, folder: Path, redis_url: str, **options: object) -> None:
        super().__init__(folder, redis_url, "fluxqueue_scheduler", options)
