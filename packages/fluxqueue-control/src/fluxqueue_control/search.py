"""Searches the tasks of a queue: by id, name, header, reason, error, argument, or any text."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .finished import FinishedPage, read_finished, show_finished
from .identifying import has_headers, has_id, has_name, read_id
from .listing import LISTED_STATES, Criterion, ListedState, ListedTask, read_tasks
from .narrowing import Cause, find_groups
from .read_numbers import whole
from .redis_client import RedisClient
from .shown_json import read_arguments, read_json

# How many tasks to look at in each state of a queue by default.
MOST = 100_000
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """The conditions of a search. A task must meet all of them.

    Attributes:
        name: the name of the task; a `*` at the end stands for any text.
        headers: headers, each with its value.
        reason: the reason of a dead task, such as `failed`.
        exception: the class of the exception of which a dead task died.
        error: a part of a dead task's error or traceback.
        arguments: names of arguments or of members in them, or positions from 0 on; each with its
            value as JSON, or as text.
        text: a part of the message, or of the reason.
        id: the id of the task, or the text that was its `task_id`; `019aa0c2*` stands for all ids
            that begin so.

    Raises:
        ConfigurationError: no task can have the id.
    """

    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    exception: str | None = None
    error: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None:
            object.__setattr__(self, "id", read_id(self.id))

    @property
    def is_about_dead(self) -> bool:
        """Whether only dead tasks can match."""
        return any(part is not None for part in (self.reason, self.exception, self.error))

    def criteria(self) -> list[Criterion]:
        """Returns texts that a matching task has. Others may have them too: see `matches`."""
        found: list[Criterion] = []
        if self.id is not None:
            found.append(("m", [f'"id":"{self.id.removesuffix("*")}']))
        if self.name is not None:
            quoted = _quoted(self.name.removesuffix("*"))
            found.append(("m", [f',"name":{quoted[:-1] if self.name.endswith("*") else quoted}']))
        found += [("m", [f"{_quoted(of)}:{_quoted(value)}"]) for of, value in self.headers.items()]
        if self.reason is not None:
            found.append(("r", [f'"reason":{_quoted(self.reason)}']))
        if self.exception is not None:
            found.append(("r", [f'"class":{_quoted(self.exception)}']))
        if self.error is not None:
            found.append(("r", [_quoted(self.error)[1:-1]]))
        for name, value in self.arguments.items():
            before = "" if name.isdigit() else f"{_quoted(name)}:"
            found.append(("m", [f"{before}{text}" for text in _as_json(value)]))
        if self.text is not None:
            found.append(("b", list(dict.fromkeys((self.text, _quoted(self.text)[1:-1])))))
        return found

    def matches(self, task: ListedTask) -> bool:
        """Whether the parts of the task match, and not only its text. True if its message is too
        large to know."""
        if not has_id(task.task_id, self.id):
            return False
        parts = task.parse()
        if parts is None:
            return not task.is_whole or not (self.name or self.headers or self.arguments)
        if not has_name(str(parts["name"]), self.name):
            return False
        if not has_headers(parts, self.headers):
            return False
        if self.reason is not None and task.reason != self.reason:
            return False
        if self.exception is not None and task.exception != self.exception:
            return False
        if not self.arguments:
            return True
        given = read_arguments(parts)
        if given is None:
            return False
        return all(_has(*given, name, value) for name, value in self.arguments.items())


@dataclass(frozen=True, slots=True)
class Hits:
    """The tasks that a search has found in one state of a queue.

    Attributes:
        looked: how many tasks it has looked at.
        cursor: leads on, with the same query; None if it has looked at all.
    """

    state: ListedState
    tasks: Sequence[ListedTask]
    looked: int
    cursor: str | None


def search(
    client: RedisClient,
    queue: str,
    query: Query,
    *,
    states: Sequence[ListedState] = LISTED_STATES,
    cursor: str | None = None,
    limit: int = 20,
    most: int = MOST,
    seconds: float | None = None,
) -> Iterator[Hits]:
    """Searches a queue, state by state. Redis looks through the tasks in bounded calls, and returns
    matches only. It ends after `limit` tasks.

    Of the dead tasks it looks only at groups (`groups.read_page`) with the name, the reason and the
    exception of the query, if their index is complete.

    Args:
        states: which tasks to look at.
        cursor: where to go on in the first of the states; None for its beginning.
        most: how many tasks to look at in each state.
        seconds: how long to look, about. Each state gets the same share, and what others have left
            of theirs. Some hundred tasks of each are looked at even if it is 0.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: a state, the cursor or the limit is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    left, ends = limit, time.monotonic() + (seconds or 0.0)
    chosen = [state for state in states if state == "dead" or not query.is_about_dead]
    for at, state in enumerate(chosen):
        if left <= 0:
            return
        share = None
        if seconds is not None:
            share = max(ends - time.monotonic(), 0.0) / (len(chosen) - at)
        hits = _search(client, queue, query, state, cursor, left, most, share)
        left -= len(hits.tasks)
        cursor = None
        yield hits


def search_finished(
    client: RedisClient, queue: str, query: Query, *, limit: int = 20, seconds: float | None = None
) -> FinishedPage:
    """Searches the finished tasks whose outcome is kept. Redis knows their ids, names and outcomes
    only: the id or the text of a query finds a task by its id, the reason by its outcome. A query
    with another condition finds none.

    Args:
        limit: the most tasks to return, from 1 to 1000.
        seconds: how long to look, as for `fluxqueue_control.finished.read_finished`.

    Raises:
        ConfigurationError, ValueError, ResponseError, UNAVAILABLE: as `search`.
    """
    unknown = (query.exception, query.error)
    if query.headers or query.arguments or any(part is not None for part in unknown):
        return FinishedPage((), None, 0)
    name, outcome, task_id = query.name, query.reason, query.id
    if query.text is None:
        by: dict[str, Any] = {"name": name, "outcome": outcome, "task_id": task_id}
        return read_finished(client, queue, limit=limit, seconds=seconds, **by)
    task = show_finished(client, queue, query.text.lower()) if _is_id(query.text) else None
    is_it = task is not None and task.matches(name, outcome) and has_id(task.task_id, task_id)
    return FinishedPage([task] if task is not None and is_it else (), None, int(is_it))


def _search(
    client: RedisClient,
    queue: str,
    query: Query,
    state: ListedState,
    cursor: str | None,
    limit: int,
    most: int,
    seconds: float | None,
) -> Hits:
    ends = math.inf if seconds is None else time.monotonic() + seconds
    criteria = query.criteria()
    groups = None
    if state == "dead":
        cause = Cause(query.name, query.reason, query.exception)
        groups = find_groups(client, queue, cause, None if seconds is None else seconds / 2)
    found: list[ListedTask] = []
    looked = 0
    while True:
        # The page that ends with the last match ends there, so that its cursor skips none.
        size = min(max(limit - len(found), 1), 1_000)
        page = read_tasks(
            client,
            queue,
            state,
            cursor,
            size,
            criteria=criteria,
            groups=groups,
            most=most - looked,
            seconds=None if seconds is None else max(ends - time.monotonic(), 0.0),
        )
        found += filter(query.matches, page.tasks)
        looked, cursor = looked + page.looked, page.cursor
        is_over = len(found) >= limit or looked >= most or time.monotonic() > ends
        if cursor is None or is_over:
            return Hits(state, found, looked, cursor)


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text.lower()) is not None


def _quoted(text: str) -> str:
    """JSON as the core and orjson write it."""
    return json.dumps(text, ensure_ascii=False)


def _as_json(value: str) -> list[str]:
    """The forms of a value in JSON: the value that it is as JSON, and a text."""
    texts = [_quoted(value)]
    try:
        parsed = read_json(value)
    except ValueError:
        return texts
    return [json.dumps(parsed, ensure_ascii=False, separators=(",", ":")), *texts]


def _has(args: Any, kwargs: Any, name: str, value: str) -> bool:
    wanted = set(_as_json(value))

    def is_it(found: Any) -> bool:
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")) in wanted

    if (position := whole(name)) is not None:
        return 0 <= position < len(args) and is_it(args[position])
    waiting: list[Any] = [args, kwargs]
    while waiting:
        some = waiting.pop()
        if isinstance(some, dict):
            if name in some and is_it(some[name]):
                return True
            some = list(some.values())
        waiting += [each for each in some if isinstance(each, dict | list)]
    return False
