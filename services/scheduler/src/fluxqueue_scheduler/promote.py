"""Moves due tasks from the delayed sets to their lists."""

from __future__ import annotations

from time import monotonic, time_ns
from typing import TYPE_CHECKING

from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .outages import Complaints
from .queues import Queues
from .redis_client import RedisClient, ScriptCall, is_on_its_way

if TYPE_CHECKING:
    from .tracing import Tracing

# A task may be put into a delayed set at any moment, so each set is looked at
# this often (seconds). It is half of the delay that is promised.
TICK = 0.05
# For what a queue's keys do not allow at present.
REFUSED_PAUSE = 1.0
# Tasks due one after the other are moved together.
SHORTEST_PAUSE = 0.01
# Messages moved in one call. Redis serves nobody else meanwhile: 2 µs for each
# make half a millisecond. The script itself stops earlier where they are large.
LIMIT = 250
# Moved tasks whose traces one span has links to.
MOST_LINKS = 32


class Promoter:
    """One round trip per tick for all queues."""

    def __init__(
        self,
        client: RedisClient,
        queues: Queues,
        complaints: Complaints,
        tracing: Tracing | None = None,
    ) -> None:
        self._client = client
        self._queues = queues
        self._complaints = complaints
        self._tracing = tracing
        self._refused: dict[str, float] = {}
        self._arguments = (LIMIT,) if tracing is None else (LIMIT, MOST_LINKS)

    def step(self) -> float:
        """Moves what is due; returns the seconds until something may be due.

        Raises:
            UNAVAILABLE: Redis is away.
        """
        self._queues.refresh(self._client)
        now = monotonic()
        names = [n for n in self._queues.names if self._refused.get(n, 0.0) <= now]
        if not names:
            return TICK
        pause = TICK
        started = 0 if self._tracing is None else time_ns()
        calls = [ScriptCall("promote", name, self._arguments) for name in names]
        replies = self._client.calls(calls)
        for queue, reply in zip(names, replies, strict=True):
            if isinstance(reply, ResponseError):
                self._complaints.about_queue(queue, "promote", reply)
                if not is_on_its_way(reply):
                    self._refused[queue] = now + REFUSED_PAUSE
                continue
            self._refused.pop(queue, None)
            moved, due, *messages = reply
            if moved:
                if self._tracing is not None:
                    self._tracing.promoted(queue, moved, messages[0], started)
                get_logger().debug("tasks.promoted", queue=queue, count=moved)
            if due == 0:
                # The call has stopped at one of its bounds.
                pause = 0.0
            elif due > 0:
                pause = min(pause, max(due / 1_000, SHORTEST_PAUSE))
        return pause
