"""Which queues there are."""

from __future__ import annotations

import time

from fluxqueue_core import check_queue_name, key
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError

from .outages import Complaints, remedy
from .redis_client import RedisClient

REFRESH_INTERVAL = 1.0
_REMEDY = (
    "another program has written it: delete the key; workers "
    "register their queues when they connect, and a search finds those with tasks"
)


class Queues:
    """The names in `fluxqueue:queues`. One loop refreshes, all loops read.

    Attributes:
        names: the queues that were there when they could last be read.
        error: why they can't be read; empty where they can.
    """

    def __init__(self, complaints: Complaints) -> None:
        self.names: tuple[str, ...] = ()
        self.error = ""
        self._complaints = complaints
        self._next = 0.0

    def refresh(self, client: RedisClient) -> None:
        """Reads the names again where the last time is a second ago.

        What Redis refuses is told once a minute, and the known queues go on.

        Raises:
            UNAVAILABLE: Redis is away.
        """
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REFRESH_INTERVAL
        try:
            members = client.command("SMEMBERS", key("queues"))
        except ResponseError as error:
            self.error = f"the names of the queues can't be read: {error}"
            fields = {"remedy": _REMEDY} | remedy(error)
            self._complaints.about(
                "queues.unreadable", "", key=key("queues"), error=str(error), **fields
            )
            return
        self.error = ""
        self.names = tuple(sorted(filter(None, map(self._valid, members))))

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
