"""Keeps the dead sets within their bounds."""

from __future__ import annotations

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger

from .error_log import ErrorLog
from .options import Options
from .queues import Queues
from .rounds import Rounds

# Entries that one call removes at most.
LIMIT = 200
# Seconds from the start to the first trim at most.
LONGEST_DELAY = 1.0


class Trimmer:
    """Trims the dead set of each queue, one call at a time."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._client = client
        interval = options.trim_interval
        self._rounds = Rounds(
            queues,
            error_log,
            interval=interval,
            delay=min(LONGEST_DELAY, interval),
            aim="trim the dead set",
        )
        self._arguments = (options.dead_max_count, round(options.dead_max_age * 1_000), LIMIT)

    def step(self) -> float:
        """Makes one call if a trim is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        return self._rounds.step(self._trim)

    def _trim(self, queue: str) -> bool:
        removed = int(self._client.call(ScriptCall("trim_dead", queue, self._arguments)))
        if removed:
            get_logger().info("dead.trimmed", queue=queue, count=removed)
        return removed < LIMIT
