"""Keeps the dead sets within their bounds."""

from __future__ import annotations

import time

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .options import Options
from .queues import Queues

# Entries that one call removes at most.
LIMIT = 500
# Seconds from the start to the first trim at most.
LONGEST_DELAY = 1.0


class Trimmer:
    """Trims the dead set of each queue, one call at a time."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._client = client
        self._queues = queues
        self._interval = options.trim_interval
        self._arguments = (options.dead_max_count, round(options.dead_max_age * 1_000), LIMIT)
        self._error_log = error_log
        self._next = time.monotonic() + min(LONGEST_DELAY, options.trim_interval)
        self._left: list[str] = []

    def step(self) -> float:
        """Makes one call if a trim is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = time.monotonic()
        if now >= self._next and not self._left:
            self._left = list(self._queues.names)
            self._next = now + self._interval
        if self._left:
            self._trim(self._left[-1])
        return 0.0 if self._left else max(self._next - now, 0.0)

    def _trim(self, queue: str) -> None:
        removed = 0
        try:
            removed = int(self._client.call(ScriptCall("trim_dead", queue, self._arguments)))
        except ResponseError as error:
            self._error_log.report_queue(queue, "trim the dead set", error)
        if removed:
            get_logger().info("dead.trimmed", queue=queue, count=removed)
        if removed < LIMIT:
            self._left.pop()
