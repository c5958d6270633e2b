"""Keeps the names of the queues up to date, for the loops of one server."""

from __future__ import annotations

import time
from typing import Protocol

from fluxqueue_control import registry
from fluxqueue_control.errors import hash_slot_is_moving
from fluxqueue_control.redis_client import RedisClient
from redis.exceptions import ResponseError

from .error_log import ErrorLog, remedy

# Seconds between two reads of the registry.
REFRESH_INTERVAL = 1.0
_REMEDY = (
    "another program has written it: delete the key; workers "
    "register their queues when they connect, and a search finds those with tasks"
)


class Queues(Protocol):
    """The queues that one server has.

    Attributes:
        names: sorted; one thread writes them, all threads read them.
        error: why the names can't be read; empty if they can.
    """

    names: tuple[str, ...]
    error: str

    def refresh(self, client: RedisClient) -> None:
        """Brings the names up to date, if that is the task of the server's own loops.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """

    def register(self, client: RedisClient, name: str) -> bool:
        """Adds a queue that the registry may not have; returns whether it is new.

        Raises:
            ResponseError: the key is not a set.
            UNAVAILABLE: Redis is unreachable or can't work.
        """


class Registry:
    """The registry of queue names, as last read.

    Attributes:
        names: the names of the queues, sorted.
        error: why the last read failed; empty if it did not.
    """

    def __init__(self, error_log: ErrorLog) -> None:
        self.names: tuple[str, ...] = ()
        self.error = ""
        self._error_log = error_log

    def read(self, client: RedisClient) -> None:
        """Reads the names. If Redis refuses, logs that once a minute and keeps the names
        of the last read.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        try:
            found = registry.read_names(client)
        except ResponseError as error:
            if hash_slot_is_moving(error):
                return
            self.error = f"the names of the queues can't be read: {error}"
            fields = remedy(error) or {"remedy": _REMEDY}
            self._error_log.report(
                "queues.unreadable", "", key=client.key("queues"), error=str(error), **fields
            )
            return
        self.error = ""
        self.names = found.names
        for member, why in found.refused.items():
            self._error_log.report(
                "queue.name_refused", repr(member), key=client.key("queues"), error=why
            )

    def register(self, client: RedisClient, name: str) -> bool:
        """Adds a name, as `Queues` says."""
        return registry.register(client, name)


class RegisteredQueues(Registry):
    """All queues of the registry, for a server that has all keys. One loop refreshes."""

    def __init__(self, error_log: ErrorLog) -> None:
        super().__init__(error_log)
        self._next = 0.0

    def refresh(self, client: RedisClient) -> None:
        """Reads the names again if the last read is a second old."""
        now = time.monotonic()
        if now >= self._next:
            # If Redis is unreachable, the read stays due. Otherwise a scheduler that knows no queue
            # yet would have nothing to do, and count as ready.
            self.read(client)
            self._next = now + REFRESH_INTERVAL
