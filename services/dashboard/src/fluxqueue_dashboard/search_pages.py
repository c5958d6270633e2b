"""Searches all queues: by the id of a task, its name, an argument, a header, a reason, or any
text."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from fluxqueue_control import tasks
from fluxqueue_control.registry import read_names
from fluxqueue_control.search import Query, search, search_finished
from fluxqueue_control.servers import Servers
from fluxqueue_core.errors import ConfigurationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from . import patience
from .context import context_of
from .list_pages import TaskRow, finished_rows, rows_of
from .redaction import Redact
from .rendering import address
from .task_pages import LOOKS_AT, find_view, is_id

# Tasks on a page.
_MOST = 50
# Any number of tasks.
_NO_BOUND = 10**12
# `id:019aa0c2*`, `task:shop.*`, `reason:failed`, `exception:KeyError`, `error:timeout`,
# `order_id=17`, `@header=value`.
_WORD = re.compile(
    r'(id|task|reason|exception|error):("[^"]*"|\S+)|(@?[\w.-]+)=("[^"]*"|\S+)|("[^"]*"|\S+)'
)


@dataclass
class SearchAnswer:
    """The tasks that a search has found.

    Attributes:
        looked: how many tasks it has looked at.
        unfinished: the queues that it has not looked through to the end.
    """

    rows: list[TaskRow] = field(default_factory=list)
    looked: int = 0
    unfinished: list[str] = field(default_factory=list)


async def search_all(request: Request) -> Response:
    """Looks for tasks in all queues, or leads to the one task that an id names."""
    context = context_of(request)
    text = request.query_params.get("q", "").strip()
    deep = bool(request.query_params.get("deep"))
    root = request.scope.get("root_path", "")
    found, problem = SearchAnswer(), ""
    if is_id(text):
        most = tasks.MOST if deep else LOOKS_AT
        queue, found.unfinished = await context.ask(_find, text.lower(), most)
        if queue is not None:
            there = address("/task", queue=queue, id=text.lower(), deep=1 if deep else None)
            return RedirectResponse(root + there, 303)
    elif text:
        try:
            query = parse(text)
        except ConfigurationError as error:
            problem = str(error)
        else:
            found = await context.ask(_search, query, context.redact, deep)
    return context.renderer.page(
        *(request, "search.html"),
        section="search",
        query=text,
        is_id=is_id(text),
        found=found,
        problem=problem,
    )


def parse(text: str) -> Query:
    """Reads the words of a search.

    Raises:
        ConfigurationError: no task can have the id.
    """
    words: dict[str, str] = {}
    arguments: dict[str, str] = {}
    headers: dict[str, str] = {}
    rest: list[str] = []
    for found in _WORD.finditer(text):
        kind, value, name, wanted, other = (part and part.strip('"') for part in found.groups())
        if kind:
            words[kind] = value
        elif name and name.startswith("@"):
            headers[name[1:]] = wanted
        elif name:
            arguments[name] = wanted
        else:
            rest.append(other)
    return Query(
        name=words.get("task"),
        headers=headers,
        reason=words.get("reason"),
        exception=words.get("exception"),
        error=words.get("error"),
        arguments=arguments,
        text=" ".join(rest) or None,
        id=words.get("id"),
    )


def _find(servers: Servers, wanted: str, most: int) -> tuple[str | None, list[str]]:
    """Returns the queue that has the task, and those that were looked through in part."""
    unfinished = []
    for name in read_names(servers.of_registry()).names:
        view, is_complete = find_view(servers, name, wanted, most)
        if view is not None:
            return name, []
        if not is_complete:
            unfinished.append(name)
    return None, unfinished


def _search(servers: Servers, query: Query, redact: Redact, deep: bool) -> SearchAnswer:
    found = SearchAnswer()
    began = time.monotonic()
    ends = began + (patience.DEEP_SEARCH if deep else patience.SEARCH)
    names = read_names(servers.of_registry()).names
    for at, queue in enumerate(names):
        left = _MOST - len(found.rows)
        if left <= 0 or time.monotonic() > began + patience.LAST_QUEUE:
            found.unfinished.append(queue)
            continue
        share = max(ends - time.monotonic(), 0.0) / (len(names) - at)
        rest: dict[str, Any] = {"limit": left, "most": _NO_BOUND, "seconds": share}
        is_complete, client = True, servers.of_queue(queue)
        rows: list[TaskRow] = []
        for hits in search(client, queue, query, **rest):
            found.looked += hits.looked
            rows += rows_of(queue, hits.tasks, redact)
            is_complete = is_complete and hits.cursor is None
        if left > len(rows):
            share = max(ends - time.monotonic(), 0.0) / (len(names) - at)
            page = search_finished(client, queue, query, limit=left - len(rows), seconds=share)
            found.looked += page.looked
            is_complete = is_complete and page.cursor is None
            # A dead task may have an outcome that is kept.
            there = {row.id for row in rows}
            ended = [task for task in page.tasks if task.task_id not in there]
            rows += finished_rows(queue, ended, redact)
        found.rows += rows
        if not is_complete:
            found.unfinished.append(queue)
    return found
