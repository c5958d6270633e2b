"""What the scheduler says of itself to whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from .loop import Loop

# Seconds. A step may take a few calls, each with its own time-out.
LEAST_PATIENCE = 10.0


class Work(Protocol):
    """What the scheduler does.

    Attributes:
        loops: the threads that there are just now.
        error: why the names of the queues can't be read; empty where they can.
    """

    @property
    def loops(self) -> Sequence[Loop]: ...
    @property
    def error(self) -> str: ...


class SchedulerHealth:
    """Answers from what the loops last did.

    Args:
        stop: set when the scheduler is to end.
        lease: seconds; a rescue that is stuck for so long is missed.
    """

    def __init__(self, work: Work, stop: threading.Event, lease: float) -> None:
        self._work = work
        self._stop = stop
        self._patience = max(lease, LEAST_PATIENCE)

    def live(self) -> list[str]:
        """Why only a restart helps; empty: all is well."""
        return [
            f"the loop {loop.name} is {late:.1f} s late"
            for loop in self._work.loops
            if (late := loop.overdue) > self._patience
        ]

    def ready(self) -> list[str]:
        """Why it does not do its work; empty: it does."""
        reasons = self.live()
        if self._stop.is_set():
            reasons.append("the scheduler ends")
        failing = [loop for loop in self._work.loops if loop.error]
        reasons += [f"the loop {loop.name} failed: {loop.error}" for loop in failing]
        if self._work.error:
            reasons.append(self._work.error)
        return reasons
