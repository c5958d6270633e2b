"""The scheduler's health: whether its loops run on time and without errors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from .loop import Loop

# Seconds. A step may make a few calls, each with its own time-out.
LEAST_PATIENCE = 10.0


class Work(Protocol):
    """The scheduler's loops.

    Attributes:
        loops: the threads that run now.
        error: why the names of the queues can't be read; empty if they can.
    """

    @property
    def loops(self) -> Sequence[Loop]: ...
    @property
    def error(self) -> str: ...


class SchedulerHealth:
    """Answers from the state of the loops.

    Args:
        stop: set when the scheduler must end.
        lease: seconds; a loop that is late by more counts as stuck.
    """

    def __init__(self, work: Work, stop: threading.Event, lease: float) -> None:
        self._work = work
        self._stop = stop
        self._patience = max(lease, LEAST_PATIENCE)

    def live(self) -> list[str]:
        """Returns the reasons to restart the scheduler; an empty list means that all is well."""
        return [
            f"the loop {loop.name} is {late:.1f} s late"
            for loop in self._work.loops
            if (late := loop.overdue) > self._patience
        ]

    def ready(self) -> list[str]:
        """Returns the reasons why it does not do its work; an empty list if it does."""
        reasons = self.live()
        if self._stop.is_set():
            reasons.append("the scheduler ends")
        failing = [loop for loop in self._work.loops if loop.error]
        reasons += [f"the loop {loop.name} failed: {loop.error}" for loop in failing]
        if self._work.error:
            reasons.append(self._work.error)
        return reasons
