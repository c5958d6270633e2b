"""Has the workers count while a tool looks, and reads their numbers once in each slot of time.

Why: docs/decisions/0191-numbers-only-while-a-reader-watches.md
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from redis.exceptions import ResponseError

from . import stats
from .errors import DENIED
from .redis_client import RedisClient
from .stats import SLOT, WATCHED, Window

# Seconds of a window, and seconds until workers have learned that a reader watches, about.
LONGEST = 60
_LEARN = 10.0


class Counting:
    """The numbers of queues, read once in each slot of 10 s. One thread at a time uses it."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._asked = float("-inf")
        self._may_watch = True
        self._asked_for: frozenset[str] = frozenset()
        self._slot = -1
        self._windows: dict[str, Window] = {}
        self._read_for: frozenset[str] = frozenset()

    def read(self, by_client: Sequence[tuple[RedisClient, Sequence[str]]]) -> dict[str, Window]:
        """Returns the window of each queue. A right that is missing makes a queue miss.

        Args:
            by_client: clients, each with its queues.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        names = frozenset(name for _, some in by_client for name in some)
        now = time.monotonic()
        if now - self._asked > WATCHED / 2 or not names <= self._asked_for:
            if now - self._asked > WATCHED:
                # Workers have stopped to count, if no other reader watches.
                self._began = now
            self._watch(by_client)
            self._asked, self._asked_for = now, names
        slot = int(time.time()) // SLOT
        if slot != self._slot or not names <= self._read_for:
            self._windows = self._read(by_client, now)
            self._slot, self._read_for = slot, names
        return self._windows

    def _watch(self, by_client: Sequence[tuple[RedisClient, Sequence[str]]]) -> None:
        # Once: Redis keeps each refusal in its log. Another reader may watch.
        for client, some in by_client if self._may_watch else ():
            try:
                stats.watch(client, some)
            except (ResponseError, *DENIED):
                self._may_watch = False

    def _read(
        self, by_client: Sequence[tuple[RedisClient, Sequence[str]]], now: float
    ) -> dict[str, Window]:
        # Not the time before the workers began: a rate would be too low.
        counted = LONGEST if self._began is None else now - self._began - _LEARN
        seconds = min(max(int(counted) // SLOT * SLOT, SLOT), LONGEST)
        found: dict[str, Window] = {}
        for client, some in by_client:
            try:
                found |= stats.read(client, list(some), seconds)
            except (ResponseError, *DENIED):
                continue
        return found
