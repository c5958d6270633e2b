"""Finds the server that has a queue, for an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

from fluxqueue_core import Settings

from fluxqueue_control import servers
from fluxqueue_control.connect import CLIENT_NAME
from fluxqueue_control.redis_client import RedisClient

from .twins import in_thread


class Servers:
    """Clients for the functions of this package and, in threads, for the sync ones. As an async
    context manager it closes them.

    Args:
        timeout: seconds to wait for one reply; the settings' own if that is shorter.
        client_name: shown by `CLIENT LIST`.

    Attributes:
        sync: the same connections for sync code.
    """

    def __init__(
        self, settings: Settings, timeout: float = 5.0, client_name: str = CLIENT_NAME
    ) -> None:
        self.sync = servers.Servers(settings, timeout, client_name)

    async def of_queue(self, queue: str) -> RedisClient:
        """Returns a client of the server that has this queue; see the sync `of_queue`."""
        return await in_thread(self.sync.of_queue, queue)

    async def of_queues(self, queues: Iterable[str]) -> list[tuple[RedisClient, list[str]]]:
        """Returns the clients of these queues, each with those that its server has; raises as
        `of_queue` does."""
        return await in_thread(self.sync.of_queues, queues)

    async def of_registry(self) -> RedisClient:
        """Returns a client of the server that has the registry; raises as `of_queue` does."""
        return await in_thread(self.sync.of_registry)

    def finder(self, queue: str) -> Callable[[], RedisClient]:
        """Returns what finds the client of this queue for each step of a long call, such as
        `requeue.replay`."""
        return lambda: self.sync.of_queue(queue)

    async def close(self) -> None:
        """Closes all connections."""
        await in_thread(self.sync.close)

    async def __aenter__(self) -> Servers:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
