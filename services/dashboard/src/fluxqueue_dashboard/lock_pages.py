"""The locks of unique tasks of a queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fluxqueue_control import locks
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .overview_pages import queue_name
from .redaction import Redact

# Locks of a page, about, and keys of the server that a page looks at.
_MOST = 100
_LOOKS_AT = 50_000


async def lock_list(request: Request) -> Response:
    """Some locks of a queue, in no order."""
    context, parameters = context_of(request), request.query_params
    snapshot = await context.hub.now()
    names = [each.name for each in snapshot.queues]
    if parameters.get("queue"):
        queue = queue_name(request, "queue")
        names = names if queue in names else [*names, queue]
    else:
        queue = names[0] if names else "default"
        names = names or [queue]
    cursor = parameters.get("cursor") or None
    try:
        found = await context.ask(_read, queue, cursor, context.redact)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return context.renderer.page(
        request, "locks.html", section="locks", queue=queue, names=names, **found
    )


def _read(servers: Servers, queue: str, cursor: str | None, redact: Redact) -> dict[str, Any]:
    client = servers.of_queue(queue)
    page = locks.read_page(client, queue, cursor, _MOST, most=_LOOKS_AT)
    rows = sorted(page.locks, key=lambda lock: (lock.since or 0.0, lock.digest))
    shown = [replace(lock, text=_shown(lock.text, redact)) for lock in rows]
    return {"locks": shown, "looked": page.looked, "cursor": page.cursor}


def _shown(text: str, redact: Redact) -> str:
    """The text of a lock: the name of the task, and what the visitor may see of its arguments."""
    name, space, key = text.partition(" ")
    return f"{name} {redact('args', name, key)}" if space else name
