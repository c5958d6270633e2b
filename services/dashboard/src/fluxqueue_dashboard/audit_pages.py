"""The audits of all queues, or of one: the changes with their actors."""

from __future__ import annotations

from typing import Any

from fluxqueue_control import audit
from fluxqueue_control.audit import AuditEntry
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .overview_pages import queue_name

# Entries of a page; of the page of all queues: how many entries of each, and of how many queues.
_MOST = 100
_MOST_OF_EACH = 20
_MOST_QUEUES = 1_000


async def audit_list(request: Request) -> Response:
    """The last changes, the newest first."""
    context, parameters = context_of(request), request.query_params
    queue = queue_name(request, "queue") if parameters.get("queue") else ""
    cursor = parameters.get("cursor") or None
    try:
        found = await context.ask(_read, queue, cursor)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return context.renderer.page(request, "audit.html", section="audit", queue=queue, **found)


def _read(servers: Servers, queue: str, cursor: str | None) -> dict[str, Any]:
    names = read_names(servers.of_registry()).names
    if queue:
        page = audit.read_page(servers.of_queue(queue), queue, cursor, _MOST)
        rows: list[tuple[str, AuditEntry]] = [(queue, entry) for entry in page.entries]
        names = names if queue in names else (*names, queue)
        return {"rows": rows, "names": names, "cursor": page.cursor, "left_out": 0}
    read = {
        name: entries
        for client, some in servers.of_queues(names[:_MOST_QUEUES])
        for name, entries in audit.read_last(client, some, _MOST_OF_EACH).items()
    }
    rows = [(name, entry) for name, entries in read.items() for entry in entries]
    # A queue may have more entries before its last one here, so older ones of others are left out.
    known_from = max((e[-1].at for e in read.values() if len(e) == _MOST_OF_EACH), default=0.0)
    rows = sorted((row for row in rows if row[1].at >= known_from), key=lambda row: -row[1].at)
    left_out = max(len(names) - _MOST_QUEUES, 0)
    return {"rows": rows[:_MOST], "names": names, "cursor": None, "left_out": left_out}
