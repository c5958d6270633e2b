"""Tasks that have ended and whose outcome is kept, by an index that is as old as the outcomes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import checked
from .identifying import has_id, has_name, read_id
from .read_numbers import is_count, seconds
from .redis_client import RedisClient
from .scanning import scan

# Bytes of an outcome that are read, at most.
_SHORT = 16_384
# Entries of the index that one round trip looks at, at most.
_STEP = 500
_LONGEST_PAGE = 1_000
_ID = 36
_STATE = b'{"state":"'


@dataclass(frozen=True, slots=True)
class FinishedTask:
    """A task that has ended, while its outcome is kept.

    Attributes:
        name: the name of the task, up to its first character that JSON escapes.
        outcome: `succeeded`, or the reason of its end; empty if it can't be read.
        kept_until: until when the outcome is kept, in seconds since 1970.
        error: what went wrong; None if it succeeded, or if the outcome is too large for a page.
        attempts: how many attempts it had; None in the same way.
        enqueued: when it was enqueued, in seconds since 1970; None if that is not known.
        started: when its last attempt began; None if none ended it.
        finished: when it ended.
        worker: host and process id of the worker that ended it.
    """

    task_id: str
    name: str
    outcome: str
    kept_until: float
    error: str | None = None
    attempts: int | None = None
    enqueued: float | None = None
    started: float | None = None
    finished: float | None = None
    worker: str | None = None

    def matches(self, name: str | None, outcome: str | None) -> bool:
        """Whether it has this name, which may end with a `*` for any text, and this outcome. None
        matches all."""
        return outcome in (None, self.outcome) and has_name(self.name, name)


@dataclass(frozen=True, slots=True)
class FinishedPage:
    """Some finished tasks, those first whose outcome is kept longest. A page can be empty even if
    more follow.

    Attributes:
        cursor: leads to the next page; None on the last one.
        looked: how many entries of the index this page has looked at.
    """

    tasks: Sequence[FinishedTask]
    cursor: str | None
    looked: int


def read_finished(
    client: RedisClient,
    queue: str,
    cursor: str | None = None,
    limit: int = 100,
    *,
    name: str | None = None,
    outcome: str | None = None,
    task_id: str | None = None,
    seconds: float | None = None,
) -> FinishedPage:
    """Reads a page of finished tasks. The index has the last 10,000 of a queue, about.

    Args:
        cursor: the previous page's; None for the first page.
        limit: the most tasks to return, from 1 to 1000.
        name: only tasks of this name; a `*` at its end stands for any text.
        outcome: only tasks that have ended so, such as `succeeded`.
        task_id: only the task with this id, or with this text as its `task_id`; `019aa0c2*` stands
            for all ids that begin so.
        seconds: how long to look, about; some hundred entries are looked at even if it is 0.

    Raises:
        ConfigurationError: the queue's name or the id is not valid.
        ValueError: the cursor or the limit is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if not 1 <= limit <= _LONGEST_PAGE:
        raise ValueError(f"limit is not from 1 to {_LONGEST_PAGE}")
    wanted_id = None if task_id is None else read_id(task_id)
    at = 0 if cursor is None else _rank_after(client, queue, cursor)
    ends = math.inf if seconds is None else time.monotonic() + seconds
    found: list[FinishedTask] = []
    looked = 0
    while True:
        step = _STEP if name or outcome or wanted_id else limit - len(found)
        rows = _read_rows(client, queue, at, step)
        # The outcomes of tasks with other names or ids are not read.
        named = [
            (number, row)
            for number, row in enumerate(rows)
            if has_name(_name(row[0]), name) and has_id(_id(row[0]), wanted_id)
        ]
        tasks = _read(client, queue, [row for _, row in named])
        for (position, row), task in zip(named, tasks, strict=True):
            if task is not None and outcome in (None, task.outcome):
                found.append(task)
            if len(found) == limit:
                return FinishedPage(found, _cursor(*row), looked + position + 1)
        at, looked = at + len(rows), looked + len(rows)
        if len(rows) < step:
            return FinishedPage(found, None, looked)
        if time.monotonic() > ends:
            return FinishedPage(found, _cursor(*rows[-1]), looked)


def show_finished(client: RedisClient, queue: str, task_id: str) -> FinishedTask | None:
    """Reads a task whose outcome is kept, by its id; None if there is none. It need not be in the
    index: then its name is empty. Raises as `read_finished`."""
    if not client.command("EXISTS", client.key("result", queue, task_id)):
        return None
    prefix = f"{task_id} ".encode()
    pages = scan(client, "ZSCAN", client.key("finished", queue), f"{task_id} *")
    rows = ((member, float(score)) for page in pages for member, score in page)
    row = next((row for row in rows if row[0].startswith(prefix)), (prefix, 0.0))
    [task] = _read(client, queue, [row])
    return task


def _id(member: bytes) -> str:
    return member[:_ID].decode(errors="replace")


def _name(member: bytes) -> str:
    return member[_ID + 1 :].decode(errors="replace")


def _rank_after(client: RedisClient, queue: str, cursor: str) -> int:
    """The rank of the entry that follows a cursor's."""
    try:
        text, _, member = cursor.partition(":")
        score, raw = float(text), bytes.fromhex(member)
        if not raw or score != score:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{cursor!r} is not a cursor of finished tasks: pass the one that came with a page"
        ) from None
    index = client.key("finished", queue)
    rank, above = checked(
        client.commands([("ZREVRANK", index, raw), ("ZCOUNT", index, f"({score!r}", "+inf")])
    )
    return int(above) if rank is None else int(rank) + 1


def _cursor(member: bytes, score: float) -> str:
    return f"{score!r}:{member.hex()}"


def _read_rows(client: RedisClient, queue: str, at: int, step: int) -> list[tuple[bytes, float]]:
    flat = client.command(
        "ZRANGE", client.key("finished", queue), at, at + step - 1, "REV", "WITHSCORES"
    )
    if flat and isinstance(flat[0], list | tuple):  # redis-py makes pairs of it
        return [(member, float(score)) for member, score in flat]
    return [(member, float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]


def _read(
    client: RedisClient, queue: str, rows: Sequence[tuple[bytes, float]]
) -> Iterator[FinishedTask | None]:
    """Yields a task for each row; None if its outcome is gone."""
    ids = [_id(member) for member, _ in rows]
    kept = checked(
        client.commands(
            ("GETRANGE", client.key("result", queue, task_id), 0, _SHORT - 1) for task_id in ids
        )
    )
    for (member, score), task_id, raw in zip(rows, ids, kept, strict=True):
        # A report of progress is not an outcome: the task is open again.
        if not raw or raw.startswith(b'{"progress":'):
            yield None
            continue
        yield FinishedTask(task_id, _name(member), kept_until=score / 1_000, **_outcome(raw))


def _outcome(raw: bytes) -> dict[str, Any]:
    try:
        parts = json.loads(raw)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, dict):
        state = raw[len(_STATE) :].partition(b'"')[0] if raw.startswith(_STATE) else b""
        return {"outcome": state.decode(errors="replace")}
    error = parts.get("error")
    moments = {name: seconds(parts.get(name)) for name in ("enqueued", "started", "finished")}
    return {
        "outcome": str(parts.get("state", "")),
        "error": _error(error) if isinstance(error, dict) else None,
        "attempts": attempts if is_count(attempts := parts.get("attempts")) else None,
        "worker": worker if isinstance(worker := parts.get("worker"), str) else None,
        **moments,
    }


def _error(error: dict[str, Any]) -> str:
    text = str(error.get("text", ""))
    kind = error.get("type")
    return text if kind is None else f"{kind}: {text}"
