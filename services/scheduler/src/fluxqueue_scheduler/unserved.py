"""Warns of queues in which tasks wait and that no worker serves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fluxqueue_control.queues import total
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .options import Options
from .queues import Queues

# Seconds between two warnings about one queue.
WARN_INTERVAL = 60.0
# Queues that one round trip asks for, and lines that one check writes. The others have
# their turn at the next check.
QUEUES_AT_ONCE = 100
MOST_LINES = 100


class UnservedQueues:
    """Checks all queues of a server for workers.

    A queue counts as unserved if two checks in a row find no worker: while a worker is
    replaced, there is none for a moment.
    """

    def __init__(self, client: RedisClient, queues: Queues, options: Options) -> None:
        self._client = client
        self._queues = queues
        self._interval = options.unserved_interval
        self._next = time.monotonic() + self._interval
        # The queues that were unserved in the last look, with the time of the last line.
        self._warned_at: dict[str, float] = {}

    def step(self) -> float:
        """Looks at the queues if that is due; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = time.monotonic()
        if now >= self._next:
            before, self._warned_at = self._warned_at, {}
            # If Redis is unreachable, the next look counts as the first one.
            unserved = self._look()
            self._warned_at = {name: before.get(name, float("-inf")) for name in unserved}
            due = [n for n in unserved if n in before and now - before[n] >= WARN_INTERVAL]
            for name in due[:MOST_LINES]:
                self._warned_at[name] = now
                get_logger().warning(
                    "queue.no_worker",
                    queue=name,
                    waiting=unserved[name],
                    remedy="no worker serves this queue; start one with -q and its name",
                )
            self._next = now + self._interval
        return self._next - now

    def _look(self) -> dict[str, int | None]:
        """Returns the unserved queues with the number of tasks that wait; None if Redis
        can't count them."""
        names = self._queues.names
        found: dict[str, int | None] = {}
        for start in range(0, len(names), QUEUES_AT_ONCE):
            some = names[start : start + QUEUES_AT_ONCE]
            waits = [
                ("EXISTS", self._client.key("pending", n), self._client.key("suspects", n))
                for n in some
            ]
            clock, *replies = self._client.commands([("TIME",), *waits])
            waiting = [n for n, reply in zip(some, replies, strict=True) if total(reply)]
            if waiting and not isinstance(clock, ResponseError):
                found |= self._without_worker(waiting, int(clock[0]) * 1_000)
        return found

    def _without_worker(self, names: Sequence[str], now: int) -> dict[str, int | None]:
        """Returns those of the queues that have no consumer with a lease past `now`."""
        replies = self._client.commands(
            command
            for name in names
            for command in (
                ("ZRANGEBYSCORE", self._client.key("consumers", name), now, "+inf", "LIMIT", 0, 1),
                ("LLEN", self._client.key("pending", name)),
                ("LLEN", self._client.key("suspects", name)),
                ("ZCARD", self._client.key("prioritized", name)),
            )
        )
        rows = zip(names, *(replies[at::4] for at in range(4)), strict=True)
        # A server that refuses to list the consumers has not shown that there are none.
        return {name: total(*lengths) for name, live, *lengths in rows if live == []}
