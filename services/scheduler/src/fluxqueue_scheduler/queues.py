"""Which queues there are."""

from __future__ import annotations

import time

from fluxqueue_core import check_queue_name, key
from fluxqueue_core.errors import ConfigurationError

from .outages import Complaints
from .redis_client import RedisClient

REFRESH_INTERVAL = 1.0


class Queues:
    """The names in `fluxqueue:queues`. One loop refreshes, all loops read."""

    def __init__(self, complaints: Complaints) -> None:
        self.names: tuple[str, ...] = ()
        self._complaints = complaints
        self._next = 0.0

    def refresh(self, client: RedisClient) -> None:
        """Reads the names again where the last time is a second ago.

        Raises:
            ResponseError: the key is no set.
            UNAVAILABLE: Redis is away.
        """
        now = time.monotonic()
        if now < self._next:
            return
        members = client.command("SMEMBERS", key("queues"))
        self.names = tuple(sorted(filter(None, map(self._valid, members))))
        self._next = now + REFRESH_INTERVAL

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
