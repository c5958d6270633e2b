"""The dead tasks of a queue, by filter, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control import dead
from fluxqueue_control.dead import DeadTask
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import context_of
from .formats import shortened
from .overview_pages import queue_name
from .redaction import Redact

# Tasks on a page, and tasks that a page looks at to find them.
_MOST = 50
_LOOKS_AT = 200
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


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """A choice of dead tasks; '' for anything."""

    reason: str = ""
    task: str = ""
    text: str = ""
    group: str = ""

    def wants(self, task: DeadTask, name: str | None, error: str) -> bool:
        """Whether a task fits, with the error that the visitor may see."""
        return (
            (not self.reason or task.reason == self.reason)
            and (not self.task or name == self.task)
            and (not self.text or self.text.lower() in error.lower())
        )

    def __bool__(self) -> bool:
        return bool(self.reason or self.task or self.text or self.group)


async def dead_tasks(request: Request) -> Response:
    """The dead tasks of a queue, the youngest first."""
    context, parameters = context_of(request), request.query_params
    queue, names = await chosen_queue(request)
    wanted = DeadFilter(
        *(parameters.get(field, "").strip() for field in ("reason", "task", "text", "group"))
    )
    cursor = parameters.get("cursor") or None
    try:
        found = await context.ask(_read, queue, wanted, cursor, context.redact)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return context.renderer.page(
        request,
        "dead.html",
        section="dead",
        queue=queue,
        names=names,
        reasons=REASONS,
        reason=wanted.reason,
        task=wanted.task,
        text=wanted.text,
        group=wanted.group,
        is_filtered=bool(wanted),
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
    servers: Servers, queue: str, wanted: DeadFilter, cursor: str | None, redact: Redact
) -> dict[str, Any]:
    rows: list[DeadRow] = []
    looked_at = 0
    client = servers.of_queue(queue)
    while True:
        size = _LOOKS_AT // 2 if wanted else _MOST
        page = dead.read_page(client, queue, cursor, size, group=wanted.group or None)
        looked_at += len(page.tasks)
        cursor = page.cursor
        rows += _rows(page.tasks, wanted, redact)
        if cursor is None or len(rows) >= _MOST or looked_at >= _LOOKS_AT:
            break
    total = client.command("ZCARD", client.key("dead", queue))
    return {"rows": rows, "cursor": cursor, "looked_at": looked_at, "total": total}


def _rows(tasks: Sequence[DeadTask], wanted: DeadFilter, redact: Redact) -> list[DeadRow]:
    rows = []
    for task in tasks:
        parts = task.parse()
        name = None if parts is None else str(parts["name"])
        error = str(redact("error", name or "", task.error))
        if wanted.wants(task, name, error):
            rows.append(
                DeadRow(
                    task.entry.hex(),
                    task_id(task.entry),
                    name,
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
