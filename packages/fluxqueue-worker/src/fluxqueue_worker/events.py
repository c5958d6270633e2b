"""The lines that a worker logs: one per task event, and what happens to itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any

from fluxqueue_core import Job
from fluxqueue_core.service.log import INFO, Logger

NO_SCHEDULER_EVERY = 60.0


class TaskEvents:
    """Writes the lines of tasks.

    Attributes:
        logs_success: whether `done` writes anything; the loops that run tasks
            ask once and skip the call.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self.logs_success = logger.level <= INFO

    def done(self, job: Job, started: float) -> None:
        # Built by hand: this one is written for every task that succeeds.
        self._logger.write(
            {
                "timestamp": datetime.now(UTC),
                "level": "info",
                "event": "task.done",
                "task_id": job.task_id,
                "name": job.name,
                "queue": job.queue,
                "attempt": job.retries + 1,
                "duration_ms": round((perf_counter() - started) * 1000, 3),
            }
        )

    def retry(self, job: Job, started: float, error: str, traceback: str, delay: float) -> None:
        self._logger.warning(
            "task.retry",
            **_fields(job, started),
            error=error,
            delay=round(delay, 3),
            exception=traceback,
        )

    def dead(
        self, job: Job, started: float, reason: str, error: str, traceback: str | None
    ) -> None:
        self._logger.error(
            "task.dead",
            **_fields(job, started),
            reason=reason,
            error=error,
            **({"exception": traceback} if traceback else {}),
        )

    def released(self, job: Job, started: float) -> None:
        self._logger.warning("task.released", **_fields(job, started))

    def lost_lease(self, job: Job, started: float) -> None:
        self._logger.warning("task.lost_lease", **_fields(job, started))

    def stuck(self, job: Job, started: float, timeout: float, stack: str) -> None:
        self._logger.error("task.stuck", **_fields(job, started), timeout=timeout, exception=stack)

    def no_thread(self, threads: int, error: Exception) -> None:
        self._logger.error("worker.no_thread", threads=threads, error=str(error))


def _fields(job: Job, started: float) -> dict[str, Any]:
    return {
        "task_id": job.task_id,
        "name": job.name,
        "queue": job.queue,
        "attempt": job.retries + 1,
        "duration_ms": round((perf_counter() - started) * 1000, 3),
    }


# kind of the consumer's event -> (level, name of the line)
_LINES = {
    "connected": ("info", "worker.connected"),
    "disconnected": ("warning", "worker.disconnected"),
    "lease_lost": ("warning", "worker.lease_lost"),
    "parked": ("error", "task.parked"),
    "unknown_task": ("warning", "task.unknown"),
    "newer_version": ("warning", "task.newer_version"),
    "suspects": ("debug", "worker.suspects"),
    "no_scheduler": ("warning", "worker.no_scheduler"),
    "outcome_void": ("warning", "task.outcome_void"),
    "not_registered": ("error", "worker.not_registered"),
    "failed": ("error", "worker.failed"),
    "released": ("info", "worker.released"),
}


class ConsumerEvents:
    """Writes the consumer's events (`Consumer.events`) as lines."""

    def __init__(self, logger: Logger, clock: Callable[[], float] = monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._no_scheduler_at = float("-inf")

    def write(self, event: Mapping[str, Any]) -> None:
        fields = dict(event)
        kind = str(fields.pop("kind", "event"))
        if kind == "no_scheduler" and not self._once_a_minute():
            return
        level, name = _LINES.get(kind, ("info", f"worker.{kind}"))
        # The line's own names stay its own, whatever an event brings.
        fields = {f"{k}_" if k in ("level", "timestamp") else k: v for k, v in fields.items()}
        getattr(self._logger, level)(name, **fields)

    def _once_a_minute(self) -> bool:
        now = self._clock()
        if now - self._no_scheduler_at < NO_SCHEDULER_EVERY:
            return False
        self._no_scheduler_at = now
        return True
