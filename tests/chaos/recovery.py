"""When a fault is over for those who use the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .ledger import ENDS, RETURNED, History


class Recovery(Protocol):
    """How to recognize recovery in the ledger."""

    def seconds(self, history: History) -> float | None:
        """How long it took; None as long as it has not come."""


@dataclass(frozen=True)
class Flow:
    """Work flows again: a task that was called after that moment has ended.

    Attributes:
        moment: when the fault was over, or happened where it has no length.
    """

    moment: float

    def seconds(self, history: History) -> float | None:
        calls = history.calls
        ends = [
            run.end
            for run in history.runs
            if run.end is not None
            and run.number in calls
            and calls[run.number].called >= self.moment
            and calls[run.number].outcome == RETURNED
        ]
        return min(ends) - self.moment if ends else None


@dataclass(frozen=True)
class Retries:
    """Retries are made again: a task that failed after that moment has begun
    another attempt, so a scheduler has moved it."""

    moment: float

    def seconds(self, history: History) -> float | None:
        failed = {run.number: run for run in history.runs if (run.failed or 0.0) >= self.moment}
        starts = [
            run.start
            for run in history.runs
            if run.number in failed and run.retries > failed[run.number].retries
        ]
        return min(starts) - self.moment if starts else None


@dataclass(frozen=True)
class Elsewhere:
    """The tasks that a process was running have begun elsewhere. If it ran none,
    work flows.

    Attributes:
        pid: the process that died, stopped or was cut off.
        moment: when.
    """

    pid: int
    moment: float

    def seconds(self, history: History) -> float | None:
        lost = history.in_flight(self.pid, self.moment)
        again: list[float] = []
        for run in lost:
            call = history.calls.get(run.number)
            if call is None or call.expected != ENDS:
                continue  # poison, for one, may be dead instead
            later = [
                other.start
                for other in history.runs
                if other.number == run.number
                and other.start > self.moment
                and other.pid != self.pid
            ]
            if not later:
                return None
            again.append(min(later))
        if not again:
            return Flow(self.moment).seconds(history)
        return max(again) - self.moment


@dataclass(frozen=True)
class Known:
    """The fault itself has waited for it."""

    duration: float

    def seconds(self, history: History) -> float | None:
        return self.duration


@dataclass(frozen=True)
class All:
    """Every one of several, the slowest counts."""

    parts: tuple[Recovery, ...]

    def seconds(self, history: History) -> float | None:
        found = [part.seconds(history) for part in self.parts]
        known = [seconds for seconds in found if seconds is not None]
        return max(known, default=0.0) if len(known) == len(found) else None
