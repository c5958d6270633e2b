"""Which queues there are."""

from __future__ import annotations

import time
from typing import Protocol

from fluxqueue_core import check_queue_name, key
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError

from .outages import Complaints, remedy
from .redis_client import RedisClient, is_on_its_way

REFRESH_INTERVAL = 1.0
_REMEDY = (
    "another program has written it: delete the key; workers "
    "register their queues when they connect, and a search finds those with tasks"
)


class Queues(Protocol):
    """The queues that one server has.

    Attributes:
        names: sorted; one thread writes, all read.
        error: why they can't be read; empty where they can.
    """

    names: tuple[str, ...]
    error: str

    def refresh(self, client: RedisClient) -> None:
        """Brings the names up to date, where that is for a loop of the server to do.

        Raises:
            UNAVAILABLE: Redis is away.
        """

    def register(self, client: RedisClient, name: str) -> bool:
        """Adds a queue that the registry may not know; whether it is new.

        Raises:
            ResponseError: the key is no set.
            UNAVAILABLE: Redis is away.
        """


class Registry:
    """The set `fluxqueue:queues`.

    Attributes:
        names: the queues that were there when they could last be read, sorted.
        error: why they can't be read; empty where they can.
    """

    def __init__(self, complaints: Complaints) -> None:
        self.names: tuple[str, ...] = ()
        self.error = ""
        self._complaints = complaints

    def read(self, client: RedisClient) -> None:
        """Reads the names. What Redis refuses is told once a minute, and the known
        queues go on.

        Raises:
            UNAVAILABLE: Redis is away.
        """
        try:
            members = client.command("SMEMBERS", key("queues"))
        except ResponseError as error:
            if is_on_its_way(error):
                return
            self.error = f"the names of the queues can't be read: {error}"
            fields = {"remedy": _REMEDY} | remedy(error)
            self._complaints.about(
                "queues.unreadable", "", key=key("queues"), error=str(error), **fields
            )
            return
        self.error = ""
        self.names = tuple(sorted(filter(None, map(self._valid, members))))

    def register(self, client: RedisClient, name: str) -> bool:
        """Adds a name; whether it is new. Errors as with `Queues`."""
        return bool(client.command("SADD", key("queues"), name))

    def _valid(self, member: bytes) -> str | None:
        try:
            name = member.decode()
            check_queue_name(name)
        except (UnicodeDecodeError, ConfigurationError) as error:
            self._complaints.about(
                "queue.name_refused", repr(member), key=key("queues"), error=str(error)
            )
            return None
        return name


class RegisteredQueues(Registry):
    """All of them, on a server that has all keys. One loop refreshes."""

    def __init__(self, complaints: Complaints) -> None:
        super().__init__(complaints)
        self._next = 0.0

    def refresh(self, client: RedisClient) -> None:
        """Reads the names again where the last time is a second ago."""
        now = time.monotonic()
        if now >= self._next:
            # Where Redis is away it stays due, or a scheduler that knows no queue
            # yet would have nothing to do, and count as ready.
            self.read(client)
            self._next = now + REFRESH_INTERVAL
