"""The tasks of a queue by their state, page by page, and those that match a filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fluxqueue_control.finished import FinishedTask, read_finished
from fluxqueue_control.listing import ListedState, ListedTask
from fluxqueue_control.search import Query, search
from fluxqueue_control.servers import Servers
from fluxqueue_core.errors import ConfigurationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from . import patience
from .conditions import identity
from .context import context_of
from .formats import enqueued_at, shortened
from .overview_pages import queue_name
from .redaction import Redact
from .rendering import address

# Tasks on a page, and tasks that a page looks at to find them.
_MOST = 50
_LOOKS_AT = 10_000
# Characters of an error in a list.
_ERROR = 300
# The state of tasks of which only the outcome is left.
_FINISHED = "finished"
# The names on pages for the states of `fluxqueue_control.listing`, and for that one.
LIST_NAMES = {
    "waiting": "Waiting",
    "delayed": "Delayed",
    "limited": "Waiting for a limit",
    "claimed": "Running",
    "dead": "Dead",
    _FINISHED: "Finished",
}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task in a list.

    Attributes:
        state: where it is; the outcome if it has ended.
        link: the page of the task.
        since: when it was enqueued, in seconds since 1970; None if that is not known.
        until: when it is due, has died or has ended, in the same way.
    """

    queue: str
    id: str
    name: str | None
    state: str
    link: str
    since: float | None
    until: float | None
    reason: str
    error: str
    has_ended: bool = False


async def task_list(request: Request) -> Response:
    """The tasks of a queue in one state, the next ones first; the finished ones whose outcome is
    kept, those first that are kept longest."""
    context, parameters = context_of(request), request.query_params
    queue = queue_name(request, "queue")
    state = parameters.get("state", "waiting")
    if state not in LIST_NAMES:
        raise HTTPException(404, f"{state!r} is not a state")
    fields = ("task", "text", "outcome", "id", "header")
    wanted = {field: parameters.get(field, "").strip() for field in fields}
    for field in ("text", "header") if state == _FINISHED else ("outcome",):
        wanted[field] = ""
    cursor = parameters.get("cursor") or None
    problem = ""
    try:
        found = await context.ask(_read, queue, state, wanted, cursor, context.redact)
    except ConfigurationError as error:
        # A person may still be typing.
        problem, found = str(error), {"rows": [], "cursor": None, "looked": 0}
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    snapshot = await context.hub.now()
    return context.renderer.page(
        request,
        "tasks.html",
        section="overview",
        queue=queue,
        state=state,
        states=LIST_NAMES,
        now=snapshot.queue(queue),
        wanted=wanted,
        problem=problem,
        **found,
    )


def _read(
    servers: Servers,
    queue: str,
    state: str,
    wanted: Mapping[str, str],
    cursor: str | None,
    redact: Redact,
) -> dict[str, Any]:
    client = servers.of_queue(queue)
    if state == _FINISHED:
        by = {"name": "task", "outcome": "outcome", "task_id": "id"}
        texts = {name: wanted[field] or None for name, field in by.items()}
        page = read_finished(client, queue, cursor, _MOST, seconds=patience.PAGE, **texts)
        rows = finished_rows(queue, page.tasks, redact)
        return {"rows": rows, "cursor": page.cursor, "looked": page.looked}
    query = Query(
        name=wanted["task"] or None,
        text=wanted["text"] or None,
        **identity(wanted["id"], wanted["header"]),
    )
    # There is one state, so there is one answer.
    [hits] = search(
        client,
        queue,
        query,
        states=[cast(ListedState, state)],
        cursor=cursor,
        limit=_MOST,
        most=_LOOKS_AT,
        seconds=patience.PAGE,
    )
    return {
        "rows": rows_of(queue, hits.tasks, redact),
        "cursor": hits.cursor,
        "looked": hits.looked,
    }


def finished_rows(queue: str, tasks: Sequence[FinishedTask], redact: Redact) -> list[TaskRow]:
    """Returns the rows of tasks that have ended."""
    return [_finished_row(queue, task, redact) for task in tasks]


def _finished_row(queue: str, task: FinishedTask, redact: Redact) -> TaskRow:
    error = str(redact("error", task.name, task.error)) if task.error else ""
    return TaskRow(
        queue=queue,
        id=task.task_id,
        name=task.name or None,
        state=task.outcome or _FINISHED,
        link=address("/task", queue=queue, id=task.task_id),
        since=enqueued_at(task.task_id) if task.enqueued is None else task.enqueued,
        until=task.finished,
        reason="",
        error=shortened(error, _ERROR),
        has_ended=True,
    )


def rows_of(queue: str, tasks: Sequence[ListedTask], redact: Redact) -> list[TaskRow]:
    """Returns the rows of a list."""
    return [_row(queue, task, redact) for task in tasks]


def _row(queue: str, task: ListedTask, redact: Redact) -> TaskRow:
    name = task.name
    if task.entry is not None:
        link = address("/dead/task", queue=queue, entry=task.entry.hex())
    else:
        link = address("/task", queue=queue, id=task.task_id)
    error = str(redact("error", name or "", task.error)) if task.error else ""
    return TaskRow(
        queue=queue,
        id=task.task_id,
        name=name,
        state=task.state,
        link=link,
        since=enqueued_at(task.task_id),
        until=task.due if task.due is not None else task.died_at,
        reason=task.reason,
        error=shortened(error, _ERROR),
    )
