"""The parts that all pages use: threads for Redis, templates, and the hub of live pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fluxqueue_control.errors import UNAVAILABLE, full_text, remedy
from fluxqueue_control.topology import NoCluster
from fluxqueue_core import Settings
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from .access import Visitor
from .job_threads import JobThreads
from .jobs_now import JobsNow, read_jobs_now
from .live import Hub
from .redaction import Redact, nothing_hidden
from .redis_threads import CLIENT_NAME, RedisThreads
from .rendering import Renderer
from .snapshot import Past, Snapshot, SnapshotReader

T = TypeVar("T")
# These become a page, not a line of the log.
REDIS_ERRORS = (RedisError, NoCluster, *UNAVAILABLE)


@dataclass
class Dashboard:
    """One dashboard.

    Attributes:
        trace_url: leads to a trace: `{trace_id}` is its id; '' without a link.
        offers_sign_in: whether a visitor without a proof may look, and can prove more.
        hub: the snapshots of all queues.
        job_hub: the last jobs of all queues.
        jobs: runs the jobs that visitors have started.
        past: the snapshots so far.
        may_group: whether this user of Redis may write the index of causes, as far as is known.
    """

    settings: Settings
    redact: Redact = nothing_hidden
    trace_url: str = ""
    offers_sign_in: bool = False
    threads: RedisThreads = field(init=False)
    renderer: Renderer = field(init=False)
    hub: Hub[Snapshot] = field(init=False)
    job_hub: Hub[JobsNow] = field(init=False)
    jobs: JobThreads = field(init=False)
    past: Past = field(init=False, default_factory=Past)
    may_group: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.threads = RedisThreads(self.settings)
        self.renderer = Renderer(
            self.settings.namespace, self.settings.display_url, self.offers_sign_in
        )
        self._reader = SnapshotReader()
        self.hub = Hub(self._snapshot)
        self.job_hub = Hub(self._jobs_now)
        self.jobs = JobThreads(self.settings, CLIENT_NAME)

    async def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function with the servers and these arguments, in a thread."""
        return await self.threads.run(lambda servers: function(servers, *arguments))

    async def _snapshot(self) -> Snapshot:
        try:
            snapshot = await self.ask(self._reader.read)
        except REDIS_ERRORS as error:
            snapshot = Snapshot(time.time(), error=explained(error))
        self.past.add(snapshot)
        return snapshot

    async def _jobs_now(self) -> JobsNow:
        try:
            return await self.ask(read_jobs_now)
        except REDIS_ERRORS as error:
            return JobsNow(time.time(), error=explained(error))

    def end_live_pages(self) -> None:
        """Ends the streams of all viewers."""
        self.hub.close()
        self.job_hub.close()

    def close(self) -> None:
        """Ends the live pages, stops the jobs, which can be resumed, and closes the connections."""
        self.end_live_pages()
        self.jobs.close()
        self.threads.close()


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
