"""The dead tasks of a queue, by filter, page by page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control.listing import ListedTask, read_tasks
from fluxqueue_control.search import Query, search
from fluxqueue_control.servers import Servers
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from . import patience
from .conditions import identity
from .context import context_of
from .formats import shortened
from .overview_pages import queue_name
from .redaction import Redact

# Tasks on a page, and tasks that a page looks at to find them.
_MOST = 50
_LOOKS_AT = 10_000
# Tasks that are read at once to look for a text in the errors that the visitor may see.
_AT_ONCE = 100
_FIELDS = ("reason", "task", "id", "header", "text", "group")
# Characters of an error in a list.
_ERROR = 300
# The length of a task's id, which begins the entry of a message that can be read.
_ID = 36
REASONS = (
    *("failed", "rejected", "no_retry_on", "not_in_retry_on", "retry_refused"),
    *("snoozed_too_often", "worker_lost", "arguments", "unknown_task", "malformed", "duplicate"),
)


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A dead task in a list.

    Attributes:
        entry: its name in the dead set, as hexadecimal digits.
    """

    entry: str
    id: str
    name: str | None
    reason: str
    error: str
    died_at: float


async def dead_tasks(request: Request) -> Response:
    """The dead tasks of a queue, the youngest first."""
    context, parameters = context_of(request), request.query_params
    queue, names = await chosen_queue(request)
    wanted = {field: parameters.get(field, "").strip() for field in _FIELDS}
    cursor = parameters.get("cursor") or None
    problem = ""
    try:
        found = await context.ask(_read, queue, wanted, cursor, context.redact)
    except ConfigurationError as error:
        # A person may still be typing.
        problem, found = str(error), {"rows": [], "cursor": None, "looked_at": 0, "total": 0}
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return context.renderer.page(
        request,
        "dead.html",
        section="dead",
        queue=queue,
        names=names,
        reasons=REASONS,
        wanted=wanted,
        problem=problem,
        **found,
    )


async def chosen_queue(request: Request) -> tuple[str, list[str]]:
    """Returns the queue that the address names, by default the one with the most dead tasks, and
    the names of all.

    Raises:
        HTTPException: it is not a queue's name.
    """
    snapshot = await context_of(request).hub.now()
    names = [each.name for each in snapshot.queues]
    if "queue" in request.query_params:
        queue = queue_name(request, "queue")
        return queue, names if queue in names else [*names, queue]
    fullest = max(snapshot.queues, key=lambda each: each.lengths.dead or 0, default=None)
    queue = "default" if fullest is None else fullest.name
    return queue, names or [queue]


def _read(
    servers: Servers, queue: str, wanted: Mapping[str, str], cursor: str | None, redact: Redact
) -> dict[str, Any]:
    client = servers.of_queue(queue)
    query = Query(
        name=wanted["task"] or None,
        reason=wanted["reason"] or None,
        **identity(wanted["id"], wanted["header"]),
    )
    rows: list[DeadRow] = []
    looked_at, ends = 0, time.monotonic() + patience.PAGE
    while True:
        size = _AT_ONCE if wanted["text"] else _MOST
        most, left = _LOOKS_AT - looked_at, max(ends - time.monotonic(), 0.0)
        if wanted["group"]:
            page = read_tasks(
                *(client, queue, "dead", cursor, size),
                criteria=query.criteria(),
                groups=[wanted["group"]],
                most=most,
                seconds=left,
            )
            tasks = [task for task in page.tasks if query.matches(task)]
            cursor, looked = page.cursor, page.looked
        else:
            # There is one state, so there is one answer.
            [hits] = search(
                *(client, queue, query),
                states=["dead"],
                cursor=cursor,
                limit=size,
                most=most,
                seconds=left,
            )
            tasks, cursor, looked = list(hits.tasks), hits.cursor, hits.looked
        looked_at += looked
        rows += _rows(tasks, wanted["text"], redact)
        is_late = looked_at >= _LOOKS_AT or time.monotonic() > ends
        if cursor is None or len(rows) >= _MOST or is_late:
            break
    total = client.command("ZCARD", client.key("dead", queue))
    return {"rows": rows, "cursor": cursor, "looked_at": looked_at, "total": total}


def _rows(tasks: Sequence[ListedTask], text: str, redact: Redact) -> list[DeadRow]:
    rows = []
    for task in tasks:
        error = str(redact("error", task.name or "", task.error))
        if task.entry is None or task.died_at is None or text.lower() not in error.lower():
            continue
        rows.append(
            DeadRow(
                task.entry.hex(),
                task_id(task.entry),
                task.name,
                task.reason,
                shortened(error, _ERROR),
                task.died_at,
            )
        )
    return rows


def task_id(entry: bytes) -> str:
    """Returns the id of a dead task, or its entry if it has no id."""
    text = entry.decode(errors="replace")
    return text[:_ID] if text[_ID : _ID + 1] in ('"', "#") else text
