"""The ways in which an attempt at a task can end.

Each class says how the consumer settles an attempt that ends in this way, which line the log
gets for it, and what traces and metrics call it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from fluxqueue.middleware import Status
from fluxqueue_core import Attempt
from fluxqueue_core.telemetry import semconv

from .attempts import Attempts
from .events import TaskEvents


@dataclass(frozen=True, slots=True)
class Outcome(ABC):
    """How an attempt ended.

    Attributes:
        operation: the name of the settling in traces and metrics, one of
            `semconv.SETTLING`.
        status: its name for the application's middleware.
        error: what the task raised, if it failed.
        traceback: the traceback of `error`, as text; empty if no log line has it.
    """

    operation: ClassVar[str]
    status: ClassVar[Status]
    error: BaseException | None = None
    traceback: str = ""

    def __init_subclass__(cls) -> None:
        # Without this check, the first outcome of the class would fail to settle in a
        # traced worker.
        if getattr(cls, "operation", None) not in semconv.SETTLING:
            known = ", ".join(semconv.SETTLING)
            raise TypeError(f"{cls.__name__}.operation must be one of {known}")

    @abstractmethod
    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        """Settles the attempt. Returns False if the lease was lost and the outcome is void."""

    @abstractmethod
    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        """Writes the line for an attempt that is settled in this way."""


@dataclass(frozen=True, slots=True)
class Succeeded(Outcome):
    """The task returned."""

    operation = semconv.ACK
    status = "succeeded"

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.succeed(attempt)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.done(attempt, started)


@dataclass(frozen=True, slots=True)
class Retried(Outcome):
    """The task failed and has retries left.

    Attributes:
        text: the error in one line.
        delay: seconds until the next attempt.
    """

    operation = semconv.RETRY
    status = "retried"

    text: str = ""
    delay: float = 0.0

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.retry(attempt, self.delay)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.retry(attempt, started, self.text, self.traceback, self.delay)


@dataclass(frozen=True, slots=True)
class Snoozed(Outcome):
    """The task has put itself off.

    Attributes:
        reason: what the task gave as one, or an empty text.
        delay: seconds until the next attempt.
    """

    operation = semconv.SNOOZE
    status = "snoozed"

    reason: str = ""
    delay: float = 0.0

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.snooze(attempt, self.delay)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.snoozed(attempt, started, self.reason, self.delay)


@dataclass(frozen=True, slots=True)
class Dead(Outcome):
    """The task failed and is not tried again.

    Attributes:
        text: the error in one line.
        reason: a reason of the dead set (docs/protocol.md).
    """

    operation = semconv.DEAD
    status = "dead"

    text: str = ""
    reason: str = "failed"

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.make_dead(attempt, self.reason, self.text, self.traceback)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.dead(attempt, started, self.reason, self.text, self.traceback)


@dataclass(frozen=True, slots=True)
class Cancelled(Outcome):
    """The task was cancelled while it ran, and raised something after that."""

    operation = semconv.CANCEL
    status = "cancelled"

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.cancel(attempt)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.cancelled(attempt, started)


@dataclass(frozen=True, slots=True)
class Released(Outcome):
    """The worker stops, and the task returns to its queue. Only its count of releases changes."""

    operation = semconv.RELEASE
    status = "released"

    def settle(self, attempts: Attempts, attempt: Attempt) -> bool:
        return attempts.release(attempt)

    def log(self, events: TaskEvents, attempt: Attempt, started: float) -> None:
        events.released(attempt, started)


SUCCEEDED = Succeeded()
RELEASED = Released()
