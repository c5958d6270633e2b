"""The rare work on a server: trimming the dead sets, the search for orphans, and the look
for queues without a worker."""

from __future__ import annotations

from fluxqueue_control.redis_client import RedisClient

from .error_log import ErrorLog
from .options import Options
from .orphans import OrphanSearch
from .queues import Queues
from .trim import Trimmer
from .unserved import UnservedQueues

# Seconds. Stopping the scheduler must not take longer.
LONGEST_PAUSE = 1.0


class Housekeeper:
    """Trims, searches and looks by turns, in small steps."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, error_log: ErrorLog
    ) -> None:
        self._trimmer = Trimmer(client, queues, options, error_log)
        self._search = OrphanSearch(client, queues, options, error_log)
        self._unserved = UnservedQueues(client, queues, options)

    def step(self) -> float:
        """Does a step of each; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        pauses = self._trimmer.step(), self._search.step(), self._unserved.step()
        return min(*pauses, LONGEST_PAUSE)
