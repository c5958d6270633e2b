"""The rare work on a server: trimming the dead sets, and the search for orphans."""

from __future__ import annotations

from fluxqueue_control.redis_client import RedisClient

from .error_log import ErrorLog
from .options import Options
from .orphans import OrphanSearch
from .queues import Queues
from .trim import Trimmer

# Seconds. Stopping the scheduler must not take longer.
LONGEST_PAUSE = 1.0


class Housekeeper:
    """Trims and searches by turns, in small steps."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._trimmer = Trimmer(client, queues, options, error_log)
        self._search = OrphanSearch(client, queues, options, error_log)

    def step(self) -> float:
        """Does a step of each; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        return min(self._trimmer.step(), self._search.step(), LONGEST_PAUSE)
