"""Mends the limits of all queues: frees places that no message has any more, and forgets rules that
no worker declares any longer.

The scripts leave nothing behind. A write that Redis lost, or a list that an operator deleted, does.

Why: docs/decisions/0150-a-limited-task-gets-its-place-before-a-worker.md
"""

from __future__ import annotations

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger

from .error_log import ErrorLog
from .queues import Queues
from .rounds import Rounds

# Seconds between two looks at all limits.
INTERVAL = 3_600.0
# A place is looked at that was taken this long ago (ms): a day.
PLACE_AGE = 86_400_000
# For how long a declaration is remembered that no worker makes any longer (ms): a week.
FORGOTTEN = 604_800_000
# Keys of limits that one call looks at.
KEYS_IN_CALL = 100


class LimitMender:
    """Looks at the limits of each queue, a page of keys at a time."""

    def __init__(
        self,
        client: RedisClient,
        queues: Queues,
        error_log: ErrorLog,
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._client = client
        self._rounds = Rounds(
            queues, error_log, interval=interval, delay=interval, aim="mend its limits"
        )
        # The queue that it has begun to look at, and where it goes on.
        self._begun: tuple[str, int] | None = None

    def step(self) -> float:
        """Looks at one page if a look is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        return self._rounds.step(self._look)

    def _look(self, queue: str) -> bool:
        """Returns whether that was the queue's last page."""
        begun, self._begun = self._begun, None
        cursor = begun[1] if begun is not None and begun[0] == queue else 0
        texts = self._client.key("limits:texts", queue)
        if not cursor:
            rules = self._client.key("limits:rules", queue)
            if not self._client.command("EXISTS", texts, rules):
                return True
            self._client.call(ScriptCall("limit_rules", queue, ("forget", FORGOTTEN)))
        reply = self._client.command("HSCAN", texts, cursor, "COUNT", KEYS_IN_CALL)
        cursor, digests = int(reply[0]), list(reply[1])
        for start in range(0, len(digests), KEYS_IN_CALL):
            some = digests[start : start + KEYS_IN_CALL]
            freed = int(self._client.call(ScriptCall("mend_limits", queue, (PLACE_AGE, *some))))
            if freed:
                get_logger().warning("limit.mended", queue=queue, places=freed)
        if cursor:
            self._begun = queue, cursor
        return not cursor
