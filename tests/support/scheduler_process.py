"""Real scheduler processes for tests, as `worker_process` has workers."""

from __future__ import annotations

from pathlib import Path

from .logging_process import LoggingProcess


class SchedulerProcess(LoggingProcess):
    """One scheduler process; ended, if need be by force, when the `with` block ends.

    Args:
        folder: its working directory.
        options: flags, as for `WorkerProcess`.
    """

    def __init__(self, folder: Path, redis_url: str, **options: object) -> None:
        super().__init__(folder, redis_url, "fluxqueue_scheduler", options)
