"""Rounds over all queues: one queue after the other, and all of them again after an interval."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .queues import Queues


class Rounds:
    """Says when which queue is due.

    Args:
        interval: seconds from the start of a round to that of the next one.
        delay: seconds to the first round.
        aim: what a visit does, for the log.
    """

    def __init__(
        self, queues: Queues, error_log: ErrorLog, *, interval: float, delay: float, aim: str
    ) -> None:
        self._queues = queues
        self._error_log = error_log
        self._interval = interval
        self._aim = aim
        self._next = time.monotonic() + delay
        self._left: list[str] = []

    def step(self, visit: Callable[[str], bool]) -> float:
        """Visits one queue if a round is due; returns the seconds to pause.

        Args:
            visit: returns whether it has finished with the queue; otherwise the next step visits
                the same one. If Redis refuses it, the log says so, and the round goes on.
        """
        now = time.monotonic()
        if now >= self._next and not self._left:
            self._left = list(self._queues.names)
            self._next = now + self._interval
        if self._left:
            queue = self._left[-1]
            try:
                is_finished = visit(queue)
            except ResponseError as error:
                self._error_log.report_queue(queue, self._aim, error)
                is_finished = True
            if is_finished:
                self._left.pop()
        return 0.0 if self._left else max(self._next - now, 0.0)
