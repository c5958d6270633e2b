"""Mends the limits of all queues: frees places that no message has any more, and forgets rules that
no worker declares any longer.

The scripts leave nothing behind. A write that Redis lost, or a list that an operator deleted, does.

Why: docs/decisions/0150-a-limited-task-gets-its-place-before-a-worker.md
"""

from __future__ import annotations

import time

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .queues import Queues

# Seconds between two looks at all limits.
INTERVAL = 3_600.0
# A place is looked at that was taken this long ago (ms): a day.
PLACE_AGE = 86_400_000
# For how long a declaration is remembered that no worker makes any longer (ms): a week.
FORGOTTEN = 604_800_000
# Keys of limits that one call looks at.
KEYS_IN_CALL = 100


class LimitMender:
    """Looks at the limits of each queue, one call at a time."""

    def __init__(self, client: RedisClient, queues: Queues, error_log: ErrorLog) -> None:
        self._client = client
        self._queues = queues
        self._error_log = error_log
        self._next = time.monotonic() + INTERVAL
        self._left: list[str] = []
        self._cursor = 0

    def step(self) -> float:
        """Makes one call if a look is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = time.monotonic()
        if now >= self._next and not self._left:
            self._left = list(self._queues.names)
            self._next = now + INTERVAL
        if self._left:
            queue = self._left[-1]
            try:
                self._look(queue)
            except ResponseError as error:
                self._error_log.report_queue(queue, "mend its limits", error)
                self._cursor = 0
            if not self._cursor:
                self._left.pop()
        return 0.0 if self._left else max(self._next - now, 0.0)

    def _look(self, queue: str) -> None:
        texts = self._client.key("limits:texts", queue)
        if not self._cursor:
            rules = self._client.key("limits:rules", queue)
            if not self._client.command("EXISTS", texts, rules):
                return
            self._client.call(ScriptCall("limit_rules", queue, ("forget", FORGOTTEN)))
        reply = self._client.command("HSCAN", texts, self._cursor, "COUNT", KEYS_IN_CALL)
        self._cursor, digests = int(reply[0]), list(reply[1])
        for start in range(0, len(digests), KEYS_IN_CALL):
            some = digests[start : start + KEYS_IN_CALL]
            freed = int(self._client.call(ScriptCall("mend_limits", queue, (PLACE_AGE, *some))))
            if freed:
                get_logger().warning("limit.mended", queue=queue, places=freed)
