"""The dead tasks of a queue by what went wrong."""

from __future__ import annotations

from typing import Any

from fluxqueue_control import groups
from fluxqueue_control.groups import DeadGroup
from fluxqueue_control.servers import Servers
from starlette.requests import Request
from starlette.responses import Response

from . import patience
from .context import context_of
from .dead_pages import chosen_queue

# Groups of a page, and groups that are looked at.
_MOST = 100
_LOOKS_AT = 2_000


async def dead_groups(request: Request) -> Response:
    """The groups of a queue, the largest first."""
    context = context_of(request)
    queue, names = await chosen_queue(request)
    found = await context.ask(_read, queue, context.may_group)
    # Not again: Redis keeps each refusal in its log.
    context.may_group = bool(found["may_write"])
    return context.renderer.page(
        request, "dead_groups.html", section="dead", queue=queue, names=names, **found
    )


def _read(servers: Servers, queue: str, may_write: bool) -> dict[str, Any]:
    client = servers.of_queue(queue)
    may_write = may_write and groups.add_new(client, queue, patience.GROUPS)
    found: dict[str, DeadGroup] = {}
    cursor: int | None = None
    while True:
        page = groups.read_page(client, queue, cursor, refresh=False)
        found |= {group.digest: group for group in page.groups}
        cursor = page.cursor
        if cursor is None or len(found) >= _LOOKS_AT:
            break
    rows = sorted(found.values(), key=lambda group: (-group.count, -group.newest))
    return {
        "groups": rows[:_MOST],
        "more": cursor is not None or len(rows) > _MOST,
        "ungrouped": groups.count_ungrouped(client, queue),
        "may_write": may_write,
        "total": sum(group.count for group in rows),
    }
