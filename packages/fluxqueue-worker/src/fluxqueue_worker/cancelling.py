"""Stops running tasks that were cancelled.

The consumer tells of them by events. An async task is cancelled once. The thread of a sync
task gets an exception once, as soon as the thread is in the task's code. A task that does
not end within the grace counts as stuck, as after a timeout.

Why: docs/decisions/0100-a-sync-task-is-cancelled-between-two-bytecodes.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from fluxqueue_core import Attempt

from .events import TaskEvents

# Seconds between two looks at tasks that must end. While an exception may be pending in a
# thread, each look also makes CPython check for it (see `src/timeouts/deadlines.rs`).
TICK = 0.05
# Seconds for which a task is searched that the consumer has just handed out.
SEARCH = 1.0


class Stopper(Protocol):
    """The thread pool or the event loop, which can stop an attempt."""

    def running(self) -> list[tuple[Attempt, float]]: ...
    def cancel(self, attempt: Attempt, /) -> bool: ...
    def stack_of(self, attempt: Attempt, /) -> str: ...


@dataclass(slots=True)
class _Asked:
    runner: Stopper
    started: float
    stuck_at: float
    is_told: bool = False


def _key(attempt: Attempt) -> tuple[str, str]:
    """The queue and the id: an id that callers choose may be in several queues."""
    return attempt.queue, attempt.task_id


class Cancelling:
    """The running tasks of a worker that must end.

    Args:
        attempts: `Outcomes.cancelling`.
        grace: seconds that a task has to end.
        give_slot_away: `Timeouts.give_slot_away`.
    """

    def __init__(
        self,
        attempts: set[Attempt],
        events: TaskEvents,
        grace: float,
        give_slot_away: Callable[[Attempt], None],
    ) -> None:
        self.runners: list[Stopper] = []
        self._attempts = attempts
        self._events = events
        self._grace = grace
        self._give_slot_away = give_slot_away
        # By `_key`: until when to look for the attempt.
        self._wanted: dict[tuple[str, str], float] = {}
        self._asked: dict[Attempt, _Asked] = {}

    @property
    def busy(self) -> bool:
        """Whether `turn` must be called again after `TICK`."""
        return bool(self._wanted or self._asked)

    def request(self, queue: str, task_id: str) -> None:
        """Notes that a task of this id runs here and was cancelled."""
        if all(_key(attempt) != (queue, task_id) for attempt in self._asked):
            self._wanted[queue, task_id] = monotonic() + SEARCH

    def turn(self) -> None:
        """Makes the next step with each task."""
        if not self.busy:
            return
        now = monotonic()
        for runner in self.runners:
            for attempt, started in runner.running():
                if self._wanted.pop(_key(attempt), None) is not None:
                    # First: the attempt may end in the next moment.
                    self._attempts.add(attempt)
                    self._asked[attempt] = _Asked(runner, started, now + self._grace)
        self._wanted = {key: until for key, until in self._wanted.items() if now < until}
        for attempt, asked in list(self._asked.items()):
            if attempt.settled:
                del self._asked[attempt]
                self._attempts.discard(attempt)
            elif not asked.is_told:
                asked.is_told = asked.runner.cancel(attempt)
            if now >= asked.stuck_at and not attempt.settled:
                asked.stuck_at = float("inf")
                self._events.stuck_cancel(attempt, asked.started, asked.runner.stack_of(attempt))
                self._give_slot_away(attempt)
