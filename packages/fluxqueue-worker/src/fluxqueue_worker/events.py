"""The lines that a worker logs about its tasks and about itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from fluxqueue_core import Attempt, Event
from fluxqueue_core.service.log import INFO, Logger
from fluxqueue_core.telemetry import semconv

# Seconds between two lines of one kind that is about all queues.
EVERY = 60.0

# From this count on, the line says what to do.
MANY_RELEASES = 3
OUTLIVES_DRAINS = (
    "the task may be longer than every drain, and then never ends: raise drain_timeout above its "
    "duration, or split it into shorter tasks"
)


class TaskEvents:
    """Writes the lines of tasks.

    Attributes:
        logs_success: whether `done` writes a line; the loops that run tasks ask
            once and skip the call if not.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self.logs_success = logger.level <= INFO

    def done(self, attempt: Attempt, started: float) -> None:
        # Built by hand, because every task that succeeds writes this line.
        self._logger.write(
            {
                "timestamp": datetime.now(UTC),
                "level": "info",
                "event": "task.done",
                "task_id": attempt.task_id,
                "name": attempt.name,
                "queue": attempt.queue,
                "attempt": attempt.retries + 1,
                "duration_ms": round((perf_counter() - started) * 1000, 3),
            }
        )

    def retry(
        self, attempt: Attempt, started: float, error: str, traceback: str, delay: float
    ) -> None:
        self._logger.warning(
            "task.retry",
            **_fields(attempt, started),
            error=error,
            delay=round(delay, 3),
            exception=traceback,
        )

    def snoozed(self, attempt: Attempt, started: float, text: str, delay: float) -> None:
        self._logger.info(
            "task.snoozed",
            **_fields(attempt, started),
            snoozes=attempt.snoozes + 1,
            delay=round(delay, 3),
            **({"reason": text} if text else {}),
        )

    def dead(
        self, attempt: Attempt, started: float, reason: str, error: str, traceback: str | None
    ) -> None:
        self._logger.error(
            "task.dead",
            **_fields(attempt, started),
            reason=reason,
            error=error,
            **({"exception": traceback} if traceback else {}),
        )

    def cancelled(self, attempt: Attempt, started: float) -> None:
        self._logger.info("task.cancelled", **_fields(attempt, started))

    def released(self, attempt: Attempt, started: float) -> None:
        releases = attempt.releases + 1
        hint = {"hint": OUTLIVES_DRAINS} if releases >= MANY_RELEASES else {}
        self._logger.warning(
            "task.released", **_fields(attempt, started), releases=releases, **hint
        )

    def lost_lease(self, attempt: Attempt, started: float) -> None:
        self._logger.warning("task.lost_lease", **_fields(attempt, started))

    def stuck(self, attempt: Attempt, started: float, timeout: float, stack: str) -> None:
        self._logger.error(
            "task.stuck", **_fields(attempt, started), timeout=timeout, exception=stack
        )

    def stuck_cancel(self, attempt: Attempt, started: float, stack: str) -> None:
        """A task that was cancelled does not end."""
        self._logger.error(
            "task.stuck", **_fields(attempt, started), cancelled=True, exception=stack
        )

    def settling_failed(self, attempt: Attempt, started: float, error: str, traceback: str) -> None:
        """The worker itself failed when it handled the end of an attempt."""
        self._logger.error(
            "worker.settling_failed", **_fields(attempt, started), error=error, exception=traceback
        )

    def middleware_failed(self, attempt: Attempt, error: str, traceback: str) -> None:
        """A middleware of the application raised, which does not change the outcome."""
        self._logger.error(
            "task.middleware_failed",
            task_id=attempt.task_id,
            name=attempt.name,
            queue=attempt.queue,
            attempt=attempt.retries + 1,
            error=error,
            exception=traceback,
        )

    def retry_fault(self, attempt: Attempt, started: float, error: str, traceback: str) -> None:
        """The delay of a `Retry`, or the function of the option `retry`, is not usable."""
        self._logger.error(
            "task.retry_fault",
            **_fields(attempt, started),
            error=error,
            **({"exception": traceback} if traceback else {}),
        )

    def loop_stopped(self) -> None:
        self._logger.warning(
            "worker.loop_stopped",
            error="a task called `stop` of the worker's event loop, which runs again now; "
            "remove that call",
        )

    def no_thread(self, threads: int, error: Exception) -> None:
        self._logger.error("worker.no_thread", threads=threads, error=str(error))


def _fields(attempt: Attempt, started: float) -> dict[str, Any]:
    return {
        "task_id": attempt.task_id,
        "name": attempt.name,
        "queue": attempt.queue,
        "attempt": attempt.retries + 1,
        "duration_ms": round((perf_counter() - started) * 1000, 3),
    }


class Kind(NamedTuple):
    """The consequences of one kind of event of the consumer.

    Attributes:
        level, line: of the log line.
        metric: the counter that it raises.
        settles: the operation by which the consumer itself settles the event's task.
        remedy: what an operator can do.
    """

    level: str
    line: str
    metric: str | None = None
    settles: str | None = None
    remedy: str | None = None


SHARED_QUEUE = (
    "a newer worker may know it; if another application shares this queue, give each its own"
    " namespace (--namespace) or queue"
)
NO_SCHEDULER = "run `fluxqueue scheduler` with the Redis and the namespace of this worker"

KINDS: dict[type[Event], Kind] = {
    Event.Connected: Kind("info", "worker.connected"),
    Event.Disconnected: Kind("warning", "worker.disconnected"),
    Event.LeaseLost: Kind("warning", "worker.lease_lost", metric=semconv.LEASES_LOST),
    Event.OutcomeVoid: Kind("warning", "task.outcome_void"),
    Event.Parked: Kind("error", "task.parked", settles=semconv.DEAD),
    Event.UnknownTask: Kind(
        "warning", "task.unknown", settles=semconv.RELEASE, remedy=SHARED_QUEUE
    ),
    Event.Expired: Kind("warning", "task.expired", metric=semconv.EXPIRED, settles=semconv.EXPIRE),
    Event.Cancelled: Kind(
        "info", "task.cancelled", metric=semconv.CANCELLED, settles=semconv.CANCEL
    ),
    Event.CancelRequested: Kind("debug", "task.cancel_requested"),
    Event.NewerVersion: Kind("warning", "task.newer_version"),
    Event.Suspects: Kind("debug", "worker.suspects"),
    Event.NoScheduler: Kind("warning", "worker.no_scheduler", remedy=NO_SCHEDULER),
    Event.Released: Kind("info", "worker.released"),
    Event.NotRegistered: Kind("error", "worker.not_registered"),
    Event.NoBlmove: Kind("error", "worker.no_blmove"),
    Event.Failed: Kind("error", "worker.failed"),
}


class ConsumerEvents:
    """Writes the consumer's events as lines.

    Args:
        queues: how many queues the worker serves.
    """

    def __init__(
        self, logger: Logger, queues: int = 1, clock: Callable[[], float] = monotonic
    ) -> None:
        self._logger = logger
        self._queues = queues
        self._clock = clock
        # When each line was last written that is about all queues.
        self._written: dict[str, float] = {}

    def write(self, queue: str, event: Event) -> None:
        """Writes an event of that queue's consumer."""
        kind = KINDS[type(event)]
        fields = _fields_of(event)
        more: dict[str, Any] = {} if kind.remedy is None else {"remedy": kind.remedy}
        # The other queues have the same event.
        about_all = isinstance(event, Event.NoScheduler | Event.NoBlmove)
        if about_all and not self._once_a_minute(kind.line):
            return
        if isinstance(event, Event.NoBlmove):
            more["queues"] = self._queues
        getattr(self._logger, kind.level)(kind.line, **fields, queue=queue, **more)

    def _once_a_minute(self, line: str) -> bool:
        now = self._clock()
        if now - self._written.get(line, float("-inf")) < EVERY:
            return False
        self._written[line] = now
        return True


def _fields_of(event: Event) -> dict[str, Any]:
    """The event's fields, without the trace of a message that has none."""
    names: tuple[str, ...] = type(event).__match_args__  # type: ignore[attr-defined]
    fields = {name: getattr(event, name) for name in names}
    if fields.get("traceparent", "") is None:
        del fields["traceparent"]
    return fields
