"""The rare work on a server: trimming the dead sets, the search for orphans, the look for
queues without a worker and at places of limits, and once the question whether it evicts keys."""

from __future__ import annotations

from fluxqueue_control.connect import Node
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core.service import eviction
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .limits import LimitMender
from .options import Options
from .orphans import OrphanSearch
from .queues import Queues
from .trim import Trimmer
from .unserved import UnservedQueues

# Seconds. Stopping the scheduler must not take longer.
LONGEST_PAUSE = 1.0


class Housekeeper:
    """Trims, searches and checks in turn, in small steps."""

    def __init__(
        self,
        client: RedisClient,
        queues: Queues,
        options: Options,
        error_log: ErrorLog,
        node: Node | None = None,
    ) -> None:
        self._client = client
        self._node = None if node is None else f"{node[0]}:{node[1]}"
        self._is_asked = False
        self._trimmer = Trimmer(client, queues, options, error_log)
        self._search = OrphanSearch(client, queues, options, error_log)
        self._unserved = UnservedQueues(client, queues, options)
        self._limits = LimitMender(client, queues, error_log)

    def step(self) -> float:
        """Does a step of each; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if not self._is_asked:
            self._ask_for_eviction()
            self._is_asked = True
        steps = self._trimmer, self._search, self._unserved, self._limits
        pauses = [one.step() for one in steps]
        return min(*pauses, LONGEST_PAUSE)

    def _ask_for_eviction(self) -> None:
        try:
            memory = self._client.command("INFO", "memory")
        except ResponseError:
            return  # the user may lack the right
        # Some servers of other makers have neither.
        policy, limit = memory.get("maxmemory_policy"), memory.get("maxmemory")
        if policy is not None and limit is not None:
            eviction.warn(get_logger(), str(policy), int(limit), self._node)
