"""What is said about Redis being away, and about trouble that goes on: once."""

from __future__ import annotations

import threading
import time

from fluxqueue_core import missing_right
from fluxqueue_core.service.log import get_logger
from redis.exceptions import NoPermissionError

from .redis_client import is_on_its_way

COMPLAINT_INTERVAL = 60.0


class Outages:
    """One line when the first loop loses a server, one when the last has it back.

    Args:
        node: `host:port`, where it is one of several.
    """

    def __init__(self, node: str | None = None) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, object] = {} if node is None else {"node": node}
        self._without: set[str] = set()
        self._since = 0.0

    @property
    def on(self) -> bool:
        """Whether a loop is without the server."""
        return bool(self._without)

    def began(self, loop: str, error: BaseException) -> None:
        """A loop could not reach Redis."""
        with self._lock:
            first = not self._without
            self._without.add(loop)
            if first:
                self._since = time.monotonic()
        if first:
            text = str(error) or type(error).__name__
            get_logger().error("redis.unavailable", **self._fields, error=text, **remedy(error))

    def ended(self, loop: str) -> None:
        """A loop has reached Redis."""
        if not self._without:
            return
        with self._lock:
            last = self._without == {loop}
            self._without.discard(loop)
        if last:
            get_logger().info("redis.available", **self._fields, away_seconds=self._away())

    def replaced(self) -> None:
        """Another server does its work from now on."""
        with self._lock:
            were = bool(self._without)
            self._without.clear()
        if were:
            get_logger().info("redis.replaced", **self._fields, away_seconds=self._away())

    def _away(self) -> float:
        return round(time.monotonic() - self._since, 3)


class Complaints:
    """Errors about one thing, at most one line a minute each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], float] = {}

    def about(self, event: str, subject: str, **fields: object) -> None:
        """Logs `event` as an error, unless it was said of `subject` just now."""
        if self._is_due(event, subject):
            get_logger().error(event, **fields)

    def _is_due(self, event: str, subject: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._said.get((event, subject), -COMPLAINT_INTERVAL) < COMPLAINT_INTERVAL:
                return False
            if len(self._said) > 1_000:
                self._said.clear()
            self._said[event, subject] = now
        return True

    def about_queue(self, queue: str, doing: str, error: BaseException) -> None:
        """A queue's keys can't be worked with; the other queues go on."""
        if is_on_its_way(error):
            # No fault as such. It is one where it is said again and again.
            if self._is_due("queue.moving", queue):
                get_logger().warning("queue.moving", queue=queue, doing=doing, error=str(error))
            return
        self.about(
            "queue.failed",
            f"{queue} {doing}",
            queue=queue,
            doing=doing,
            error=str(error),
            **remedy(error),
        )


def remedy(error: BaseException) -> dict[str, str]:
    """The field `remedy` of a line, where a right is missing."""
    text = str(error)
    if isinstance(error, NoPermissionError):
        text = f"NOPERM {text}"  # redis-py has cut the code off
    found = missing_right(text)
    return {} if found is None else {"remedy": found}
