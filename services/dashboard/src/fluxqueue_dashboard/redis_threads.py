"""Threads that talk to Redis: a page's questions run in one of them, so that the event loop never
waits.

Why: docs/decisions/0200-a-page-asks-redis-in-one-thread.md
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings

T = TypeVar("T")

CLIENT_NAME = "fluxqueue-dashboard"
# Pages that are read at once. Further ones wait.
_THREADS = 8


class RedisThreads:
    """Runs functions that ask Redis, each thread with its own connections.

    Args:
        timeout: seconds to wait for one reply.
    """

    def __init__(self, settings: Settings, timeout: float = 5.0) -> None:
        self._settings = settings
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fluxqueue-dashboard")
        self._own = threading.local()
        self._all: list[Servers] = []

    async def run(self, ask: Callable[[Servers], T]) -> T:
        """Returns what `ask` returns, or raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, ask)

    def _call(self, ask: Callable[[Servers], T]) -> T:
        servers: Servers | None = getattr(self._own, "servers", None)
        if servers is None:
            servers = Servers(self._settings, self._timeout, CLIENT_NAME)
            self._own.servers = servers
            self._all.append(servers)
        return ask(servers)

    def close(self) -> None:
        """Waits for what runs, and closes the connections."""
        self._pool.shutdown(cancel_futures=True)
        for servers in self._all:
            servers.close()
