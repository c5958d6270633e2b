"""Finds out whether a task exists, for requests that name it."""

from __future__ import annotations

from typing import Any

from fluxqueue_core import Settings

from .handle import UNFINISHED, TaskHandle
from .installing import needs

# Messages of each list that one question looks at: a request must not cost Redis much.
MOST = 5_000


class KnownTasks:
    """Asks one Redis. Its connections are made when they are needed.

    Raises:
        ConfigurationError: the package of the control plane is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        with needs("fluxqueue-control", "to look for tasks"):
            from fluxqueue_control.aio import servers, tasks
        self._find = tasks.find
        self._servers = servers.Servers(settings, client_name="fluxqueue-client")

    async def has(self, handle: TaskHandle[Any]) -> bool:
        """Whether the task waits, runs or is dead, or its outcome is kept. If the lists of the
        queue are too long to tell, it is taken as known.

        Raises:
            BrokerError, BrokerUnavailable, redis.RedisError: Redis refuses, or does not answer.
        """
        if await self._has_ended(handle):
            return True
        client = await self._servers.of_queue(handle.queue)
        search = await self._find(client, handle.queue, handle.id, MOST)
        if search.task is not None or not search.is_complete:
            return True
        # It may have ended between the two looks.
        return await self._has_ended(handle)

    async def _has_ended(self, handle: TaskHandle[Any]) -> bool:
        return await handle.status_async() != UNFINISHED
