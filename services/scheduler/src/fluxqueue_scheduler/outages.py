"""Logs each outage of a server once: when it begins and when it ends."""

from __future__ import annotations

import threading
import time

from fluxqueue_core.service.log import get_logger

from .error_log import remedy


class Outages:
    """Writes one line when the first loop loses the server, and one when the last loop
    reaches it again.

    Args:
        node: `host:port`, if the server is one of several.
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
        """Notes that a loop could not reach Redis."""
        with self._lock:
            first = not self._without
            self._without.add(loop)
            if first:
                self._since = time.monotonic()
        if first:
            text = str(error) or type(error).__name__
            get_logger().error("redis.unavailable", **self._fields, error=text, **remedy(error))

    def ended(self, loop: str) -> None:
        """Notes that a loop has reached Redis."""
        if not self._without:
            return
        with self._lock:
            last = self._without == {loop}
            self._without.discard(loop)
        if last:
            get_logger().info("redis.available", **self._fields, away_seconds=self._away())

    def replaced(self) -> None:
        """Notes that another server does this one's work from now on."""
        with self._lock:
            were = bool(self._without)
            self._without.clear()
        if were:
            get_logger().info("redis.replaced", **self._fields, away_seconds=self._away())

    def _away(self) -> float:
        return round(time.monotonic() - self._since, 3)
