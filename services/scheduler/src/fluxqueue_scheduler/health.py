"""What the scheduler says of itself to whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .loop import Loop
from .queues import Queues

# Seconds. A step may take a few calls, each with its own time-out.
LEAST_PATIENCE = 10.0


class SchedulerHealth:
    """Answers from what the loops last did.

    Args:
        stop: set when the scheduler is to end.
        lease: seconds; a rescue that is stuck for so long is missed.
    """

    def __init__(
        self, loops: Sequence[Loop], queues: Queues, stop: threading.Event, lease: float
    ) -> None:
        self._loops = loops
        self._queues = queues
        self._stop = stop
        self._patience = max(lease, LEAST_PATIENCE)

    def live(self) -> list[str]:
        """Why only a restart helps; empty: all is well."""
        return [
            f"the loop {loop.name} is {late:.1f} s late"
            for loop in self._loops
            if (late := loop.overdue) > self._patience
        ]

    def ready(self) -> list[str]:
        """Why it does not do its work; empty: it does."""
        reasons = self.live()
        if self._stop.is_set():
            reasons.append("the scheduler ends")
        failing = [loop for loop in self._loops if loop.error]
        reasons += [f"the loop {loop.name} failed: {loop.error}" for loop in failing]
        if self._queues.error:
            reasons.append(self._queues.error)
        return reasons
