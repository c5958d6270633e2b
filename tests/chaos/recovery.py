"""When a fault is over for those who use the queue.

Why: docs/decisions/0123-recovery-is-bounded-by-what-waits.md
"""

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
        again = self._again(history)
        if not all(again.values()):
            return None
        if not again:
            return Flow(self.moment).seconds(history)
        return max(min(starts) for starts in again.values()) - self.moment

    def behind(self, history: History, since: float) -> float:
        """Returns for how long those of its tasks that began later than `since` seconds after
        the moment waited behind tasks that go first: those of a higher priority, or of the same
        one, above 0. The longest of these times, in seconds."""
        bound = self.moment + since
        found = [0.0]
        for number, starts in self._again(history).items():
            if starts and min(starts) > bound:
                found.append(_waited(history, number, bound, min(starts)))
        return max(found)

    def _again(self, history: History) -> dict[int, list[float]]:
        """The tasks that the process ran, with their later starts elsewhere."""
        again: dict[int, list[float]] = {}
        for run in history.in_flight(self.pid, self.moment):
            call = history.calls.get(run.number)
            if call is None or call.expected != ENDS or call.may_not_run:
                continue  # poison, for one, may be dead instead
            again[run.number] = [
                other.start
                for other in history.runs
                if other.number == run.number
                and other.start > self.moment
                and other.pid != self.pid
            ]
        return again


def _waited(history: History, number: int, began: float, ended: float) -> float:
    """For how long, between these moments, other tasks waited that go first."""
    own = history.calls[number].options.priority
    times = []
    for other, attempts in history.by_number().items():
        call = history.calls.get(other)
        if call is None or other == number:
            continue
        priority = call.options.priority
        if priority > own or priority == own > 0:
            due = call.called + call.options.delay
            times.append((max(due, began), min(attempts[0].start, ended)))
    waited, at = 0.0, began
    for start, end in sorted(times):
        if end > max(start, at):
            waited += end - max(start, at)
            at = end
    return waited


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
