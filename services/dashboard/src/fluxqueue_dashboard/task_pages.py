"""One task: where it is, why it does not run, what happened to it, and what it has."""

from __future__ import annotations

import re
from dataclasses import replace

from fluxqueue_control import dead, tasks
from fluxqueue_control.finished import show_finished
from fluxqueue_control.servers import Servers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .context import Dashboard, context_of, visitor_of
from .dead_pages import task_id
from .overview_pages import queue_name
from .rendering import address
from .results import read_result
from .task_view import TaskView, view_of_dead, view_of_ended, view_of_located

# Messages that a page looks at in each list. A deep look goes on to the end.
LOOKS_AT = 20_000
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether a text is an id of a task."""
    return _ID.fullmatch(text.lower()) is not None


async def task(request: Request) -> Response:
    """A task by its queue and its id."""
    context, queue = context_of(request), queue_name(request, "queue")
    wanted = request.query_params.get("id", "").strip().lower()
    if not is_id(wanted):
        raise HTTPException(404, "This is not a task's id.")
    most = tasks.MOST if request.query_params.get("deep") else LOOKS_AT
    view, is_complete = await context.ask(find_view, queue, wanted, most)
    if view is not None:
        return await _page(request, context, view)
    deep = address("/task", queue=queue, id=wanted, deep=1)
    return context.renderer.page(
        request,
        "message.html",
        404,
        section="",
        title="The queue does not have this task",
        text="It has ended, or is in another namespace. Tasks that succeed leave nothing in Redis, "
        "except a result that is kept."
        if is_complete
        else f"The first {LOOKS_AT} messages of each list do not have it. There are more.",
        link=("Back to the queue", address("/queue", name=queue))
        if is_complete
        else ("Look through all of them", deep),
    )


async def dead_task(request: Request) -> Response:
    """A dead task by its queue and its entry in the dead set."""
    context, queue = context_of(request), queue_name(request, "queue")
    try:
        entry = bytes.fromhex(request.query_params.get("entry", ""))
    except ValueError:
        raise HTTPException(404, "This is not an entry of a dead set.") from None
    view = await context.ask(_read_dead, queue, entry)
    if view is None:
        return context.renderer.page(
            request,
            "message.html",
            404,
            section="dead",
            title="The dead set does not have this task",
            text="It was run again, deleted, or trimmed meanwhile.",
            link=("Dead tasks of this queue", address("/dead", queue=queue)),
        )
    return await _page(request, context, view)


async def _page(request: Request, context: Dashboard, view: TaskView) -> Response:
    shown = view.redacted(context.redact)
    if context.trace_url and view.trace:
        shown = replace(shown, trace=context.trace_url.replace("{trace_id}", view.trace))
    else:
        shown = replace(shown, trace="")
    section = "dead" if view.state == "dead" else ""
    others: list[str] = []
    if visitor_of(request).role == "operator":
        snapshot = await context.hub.now()
        others = [each.name for each in snapshot.queues if each.name != view.queue]
    return context.renderer.page(request, "task.html", section=section, view=shown, others=others)


def find_view(servers: Servers, queue: str, wanted: str, most: int) -> tuple[TaskView | None, bool]:
    """Returns the task, and whether all keys were looked through."""
    client = servers.of_queue(queue)
    result = read_result(client, queue, wanted)
    if result is not None and result.state is not None:
        # It has ended, so only the dead set can have it.
        for entry in dead.entries_of(client, queue, wanted):
            found = dead.show(client, queue, entry)
            if found is not None:
                return view_of_dead(client, queue, wanted, found, result), True
        return view_of_ended(queue, wanted, result, show_finished(client, queue, wanted)), True
    search = tasks.find(client, queue, wanted, most)
    if search.task is None:
        return None, search.is_complete
    if search.task.entry is not None:
        found = dead.show(client, queue, search.task.entry)
        if found is not None:
            return view_of_dead(client, queue, wanted, found, result), True
    return view_of_located(client, queue, wanted, search.task, result), True


def _read_dead(servers: Servers, queue: str, entry: bytes) -> TaskView | None:
    client = servers.of_queue(queue)
    found = dead.show(client, queue, entry)
    if found is None:
        return None
    wanted = task_id(entry)
    result = read_result(client, queue, wanted) if is_id(wanted) else None
    return view_of_dead(client, queue, wanted, found, result)
