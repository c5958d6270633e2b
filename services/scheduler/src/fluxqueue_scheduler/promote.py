"""Moves due tasks from the delayed sets to their lists."""

from __future__ import annotations

from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .outages import Complaints
from .queues import Queues
from .redis_client import RedisClient, ScriptCall

# A task may be put into a delayed set at any moment, so each set is looked at
# this often (seconds). It is half of the delay that is promised.
TICK = 0.05
# Tasks due one after the other are moved together.
SHORTEST_PAUSE = 0.01
LIMIT = 1_000


class Promoter:
    """One round trip per tick for all queues."""

    def __init__(self, client: RedisClient, queues: Queues, complaints: Complaints) -> None:
        self._client = client
        self._queues = queues
        self._complaints = complaints

    def step(self) -> float:
        """Moves what is due; returns the seconds until something may be due.

        Raises:
            UNAVAILABLE: Redis is away.
        """
        self._queues.refresh(self._client)
        names = self._queues.names
        if not names:
            return TICK
        pause = TICK
        replies = self._client.calls([ScriptCall("promote", name, (LIMIT,)) for name in names])
        for queue, reply in zip(names, replies, strict=True):
            if isinstance(reply, ResponseError):
                self._complaints.about_queue(queue, "promote", reply)
                continue
            moved, due = reply
            if moved:
                get_logger().debug("tasks.promoted", queue=queue, count=moved)
            if moved >= LIMIT:
                pause = 0.0
            elif due >= 0:
                pause = min(pause, max(due / 1_000, SHORTEST_PAUSE))
        return pause
