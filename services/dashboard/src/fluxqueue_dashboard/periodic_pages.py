"""The periodic tasks of all queues, and the history of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fluxqueue_control import periodic
from fluxqueue_control.periodic import PeriodicTask
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .formats import NOTHING, duration
from .overview_pages import queue_name

# Rows of a page, at most.
_MOST = 500


@dataclass(frozen=True, slots=True)
class PeriodicRow:
    """A periodic task of a queue."""

    queue: str
    task: PeriodicTask

    @property
    def state(self) -> str:
        """Whether it runs."""
        if self.task.rules is None:
            return "unreadable"
        return "paused" if self.task.paused else "active"

    @property
    def when(self) -> str:
        """Its moments, in words."""
        if self.task.rules is None:
            return NOTHING
        times = self.task.rules.times
        if times.every is not None:
            return f"every {duration(times.every / 1_000)}"
        return f"{times.cron} {times.tz}"


async def periodic_tasks(request: Request) -> Response:
    """The periodic tasks, with their next and last runs."""
    context = context_of(request)
    found = await context.ask(_read)
    return context.renderer.page(request, "periodic.html", section="periodic", **found)


async def periodic_task(request: Request) -> Response:
    """One periodic task, with what happened at its last moments."""
    context, queue = context_of(request), queue_name(request, "queue")
    periodic_id = request.query_params.get("id", "")
    found = await context.ask(_show, queue, periodic_id)
    if found is None:
        raise HTTPException(404, f"queue {queue!r} has no periodic task {periodic_id!r}")
    row = PeriodicRow(queue, found)
    return context.renderer.page(request, "periodic_task.html", section="periodic", row=row)


def _show(servers: Servers, queue: str, periodic_id: str) -> PeriodicTask | None:
    return periodic.show(servers.of_queue(queue), queue, periodic_id)


def _read(servers: Servers) -> dict[str, Any]:
    rows: dict[tuple[str, str], PeriodicRow] = {}
    more = False
    for queue in read_names(servers.of_registry()).names:
        cursor = None
        while not more:
            page = periodic.read_page(servers.of_queue(queue), queue, cursor)
            rows |= {(queue, each.id): PeriodicRow(queue, each) for each in page.tasks}
            more = len(rows) > _MOST
            cursor = page.cursor
            if cursor is None:
                break
    return {"rows": [rows[key] for key in sorted(rows)][:_MOST], "more": more}
