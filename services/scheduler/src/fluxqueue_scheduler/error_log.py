"""Logs each persistent error once a minute, with what is missing."""

from __future__ import annotations

import threading
import time

from fluxqueue_control import errors
from fluxqueue_control.errors import hash_slot_is_moving
from fluxqueue_core.service.log import get_logger

# Seconds.
INTERVAL = 60.0


class ErrorLog:
    """Writes at most one line a minute for each event and subject."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged_at: dict[tuple[str, str], float] = {}

    def report(self, event: str, subject: str, **fields: object) -> None:
        """Logs `event` as an error, unless the last minute has a line about `subject`."""
        if self._is_due(event, subject):
            get_logger().error(event, **fields)

    def report_queue(self, queue: str, doing: str, error: BaseException) -> None:
        """Logs that one queue's keys can't be worked with. The other queues go on."""
        if hash_slot_is_moving(error):
            # A moving hash slot is normal. Many of these lines for one queue are not.
            if self._is_due("queue.moving", queue):
                get_logger().warning("queue.moving", queue=queue, doing=doing, error=str(error))
            return
        self.report(
            "queue.failed",
            f"{queue} {doing}",
            queue=queue,
            doing=doing,
            error=str(error),
            **remedy(error),
        )

    def _is_due(self, event: str, subject: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._logged_at.get((event, subject), -INTERVAL) < INTERVAL:
                return False
            if len(self._logged_at) > 1_000:
                self._logged_at.clear()
            self._logged_at[event, subject] = now
        return True


def remedy(error: BaseException) -> dict[str, str]:
    """Returns the field `remedy` of a log line, if only an operator can end the error."""
    found = errors.remedy(error)
    return {} if found is None else {"remedy": found}
