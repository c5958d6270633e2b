"""The parts that all pages use: threads for Redis, templates, and the hub of live pages."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fluxqueue_control.errors import UNAVAILABLE, full_text, remedy
from fluxqueue_control.topology import NoCluster
from fluxqueue_core import Producer, Settings
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from .access import Visitor
from .live import Hub
from .redaction import Redact, nothing_hidden
from .redis_threads import RedisThreads
from .rendering import Renderer
from .snapshot import Snapshot, read_snapshot

T = TypeVar("T")
# These become a page, not a line of the log.
REDIS_ERRORS = (RedisError, NoCluster, *UNAVAILABLE)


@dataclass
class Dashboard:
    """One dashboard.

    Attributes:
        trace_url: leads to a trace: `{trace_id}` is its id; '' without a link.
        offers_sign_in: whether a visitor without a proof may look, and can prove more.
    """

    settings: Settings
    redact: Redact = nothing_hidden
    trace_url: str = ""
    offers_sign_in: bool = False
    threads: RedisThreads = field(init=False)
    renderer: Renderer = field(init=False)
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.threads = RedisThreads(self.settings)
        self.renderer = Renderer(
            self.settings.namespace, self.settings.display_url, self.offers_sign_in
        )
        self.hub = Hub(self._snapshot)

    @functools.cached_property
    def producer(self) -> Producer:
        """Cancels tasks as a client does."""
        return Producer(self.settings)

    async def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function with the servers and these arguments, in a thread."""
        return await self.threads.run(lambda servers: function(servers, *arguments))

    async def _snapshot(self) -> Snapshot:
        try:
            return await self.ask(read_snapshot)
        except REDIS_ERRORS as error:
            return Snapshot(time.time(), error=explained(error))

    def close(self) -> None:
        """Ends the live pages and closes the connections."""
        self.hub.close()
        self.threads.close()
        if "producer" in self.__dict__:
            self.producer.close()


def context_of(request: HTTPConnection) -> Dashboard:
    """Returns the dashboard that a request is for."""
    context: Dashboard = request.app.state.context
    return context


def visitor_of(request: HTTPConnection) -> Visitor:
    """Returns who asks."""
    visitor: Visitor = request.state.visitor
    return visitor


def explained(error: BaseException) -> str:
    """Returns the error of Redis, and the remedy if there is one."""
    found = remedy(error)
    return f"{full_text(error)}{f'; {found}' if found else ''}"
