"""The dead set: tasks that FluxQueue has given up on, each with its reason."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_core import parse_message
from fluxqueue_core.errors import MalformedMessage

from .errors import checked
from .redis_client import RedisClient
from .scanning import scan

# A page leaves out messages and reasons of more bytes, so that it stays small.
SHORT = 16_384

# An entry and its score: when it died, in ms since 1970.
_Row = tuple[bytes, float]


@dataclass(frozen=True, slots=True)
class DeadTask:
    """An entry of the dead set.

    Attributes:
        entry: its name in the dead set of the queue. Bytes, because it begins with the
            message's id, and a malformed message may have any bytes there.
        died_at: seconds since 1970, by the clock of Redis.
        size: bytes of the message; 0 if the message is missing.
        message: the message as it was, to the byte; None if it is missing or left out.
        reason: one word, such as `failed` or `worker_lost` (docs/protocol.md lists them);
            empty if it is missing, unreadable or left out.
        error: what went wrong, as text; empty if `reason` is.
        traceback: the worker's traceback, if the task's function raised.
        exception: the class of the exception; empty if none was raised, or if it died under a
            release that does not note it.
        place: where it was raised, as `shop/tasks.py:42 in send`; empty in the same way.
        is_whole: False if a page has left out the message or the reason; see `read_whole`.
    """

    entry: bytes
    died_at: float
    size: int
    message: bytes | None
    reason: str
    error: str
    traceback: str | None
    exception: str = ""
    place: str = ""
    is_whole: bool = True

    def parse(self) -> dict[str, Any] | None:
        """Returns the message's parts as `fluxqueue_core.parse_message` does; None if
        there is no message or it can't be read."""
        if self.message is None:
            return None
        try:
            return parse_message(self.message)
        except MalformedMessage:
            return None


@dataclass(frozen=True, slots=True)
class DeadPage:
    """Some dead tasks of a queue, the newest first.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    tasks: Sequence[DeadTask]
    cursor: str | None


def read_page(
    client: RedisClient,
    queue: str,
    cursor: str | None = None,
    limit: int = 100,
    *,
    group: str | None = None,
) -> DeadPage:
    """Reads a page of dead tasks, the newest first.

    An entry that stays in the dead set is on exactly one page, whatever is added or
    removed between the calls. A page leaves out messages and reasons of more than 16 KiB,
    so that it has 32 KiB per entry at most; `show` reads them.

    Args:
        cursor: the previous page's; None for the first page.
        limit: the most entries to return, from 1 to 1000.
        group: the digest of a group (`groups.read_page`); None: all dead tasks.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the cursor or the limit is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if not 1 <= limit <= 1_000:
        shown = limit if abs(limit) < 10**9 else "too large"  # Python can't print all ints
        raise ValueError(f"limit is {shown}: choose one from 1 to 1000")
    last = None if cursor is None else _Position.parse(cursor)
    key = client.key("dead", queue)
    if group is not None:
        key = client.key("dead:group", queue, group)
    # One more than asked for tells whether there is another page.
    rows = _read_rows(client, key, last, limit + 1)
    following = None if len(rows) <= limit else str(_end_of(rows[:limit], last))
    page = rows[:limit]
    if group is not None:
        page = _still_dead(client, queue, page)
    return DeadPage(_read_tasks(client, queue, page, SHORT), following)


def show(client: RedisClient, queue: str, entry: bytes) -> DeadTask | None:
    """Reads one dead task in full; returns None if it is not in the dead set.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    for task in _read_entries(client, queue, [entry], None):
        return task
    return None


def read_entries(client: RedisClient, queue: str, entries: Sequence[bytes]) -> list[DeadTask]:
    """Reads some dead tasks as a page has them, without those that are no longer in the dead set.
    Takes three round trips. The caller bounds their number. Raises as `show` does."""
    return _read_entries(client, queue, entries, SHORT)


def read_whole(client: RedisClient, queue: str, task: DeadTask) -> DeadTask | None:
    """Returns a task of a page with all that the page has left out; None if it is no longer in the
    dead set, or has died again. Raises as `show` does."""
    if task.is_whole and task.message is not None:
        return task
    whole = show(client, queue, task.entry)
    return whole if whole is not None and whole.died_at == task.died_at else None


def entries_of(client: RedisClient, queue: str, task_id: str) -> list[bytes]:
    """Returns the entries of a task, whose id begins them. Redis looks through the whole dead set,
    in calls of 1,000 entries. Raises as `show` does."""
    # An id is a UUID: no character of it has a meaning in a pattern.
    pages = scan(client, "ZSCAN", client.key("dead", queue), f'{task_id}"*', step=1_000)
    return list(dict.fromkeys(entry for page in pages for entry, _ in page))


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page ended: at an entry, in the order of the set (by score, then by entry).

    Attributes:
        passed: how many entries with this score have been on pages so far.
    """

    score: float
    entry: bytes
    passed: int

    @classmethod
    def parse(cls, cursor: str) -> _Position:
        try:
            score, passed, entry = cursor.split(":")
            position = cls(float(score), bytes.fromhex(entry), int(passed))
            if math.isnan(position.score) or position.passed < 1:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{cursor!r} is not a cursor of the dead set: pass the one that came with a page"
            ) from None
        return position

    def __str__(self) -> str:
        return f"{self.score!r}:{self.passed}:{self.entry.hex()}"

    def is_passed(self, row: _Row) -> bool:
        """Whether a page so far has had the row, or would have had it."""
        entry, score = row
        return (score, entry) >= (self.score, self.entry)


def _still_dead(client: RedisClient, queue: str, rows: Sequence[_Row]) -> list[_Row]:
    """Leaves out rows of a group that a release without groups has removed from the dead set."""
    if not rows:
        return []
    entries = [entry for entry, _ in rows]
    scores = client.command("ZMSCORE", client.key("dead", queue), *entries)
    return [row for row, score in zip(rows, scores, strict=True) if score is not None]


def _read_entries(
    client: RedisClient, queue: str, entries: Sequence[bytes], most: int | None
) -> list[DeadTask]:
    key = client.key("dead", queue)
    scores = checked(client.commands([("ZSCORE", key, entry) for entry in entries]))
    rows = zip(entries, scores, strict=True)
    found = [(entry, float(score)) for entry, score in rows if score is not None]
    return _read_tasks(client, queue, found, most) if found else []


def _read_rows(client: RedisClient, key: str, last: _Position | None, limit: int) -> list[_Row]:
    """Reads the rows that follow the position."""
    if last is None:
        return _read_from(client, key, math.inf, 0, limit)
    # Many tasks can die in the same millisecond: among these the offset leads to the
    # position. Each read begins with a row that has been passed already. If it does not,
    # rows have been removed, and the offset may have skipped rows that still follow.
    offset = last.passed - 1
    while True:
        rows = _read_from(client, key, last.score, offset, limit + 1)
        if offset and not (rows and last.is_passed(rows[0])):
            offset = 0
            continue
        following = [row for row in rows if not last.is_passed(row)]
        if len(following) >= limit or len(rows) <= limit:
            return following[:limit]
        # Rows have been added before the position: read from the last of these.
        offset += len(rows) - len(following) - 1


def _read_from(client: RedisClient, key: str, score: float, offset: int, limit: int) -> list[_Row]:
    """Reads rows whose score is this or less, without the first ones."""
    flat: list[bytes] = client.command(
        *("ZREVRANGEBYSCORE", key, score, "-inf", "WITHSCORES"),
        *("LIMIT", offset, limit),
    )
    return [(entry, float(text)) for entry, text in zip(flat[::2], flat[1::2], strict=True)]


def _end_of(rows: Sequence[_Row], last: _Position | None) -> _Position:
    entry, score = rows[-1]
    passed = sum(row[1] == score for row in rows)
    if last is not None and last.score == score:
        passed += last.passed
    return _Position(score, entry, passed)


def _read_tasks(
    client: RedisClient, queue: str, rows: Sequence[_Row], most: int | None
) -> list[DeadTask]:
    """Reads the messages and reasons, if they are no longer than `most` bytes."""
    kinds = ("dead:messages", "dead:reasons")
    lengths = checked(
        client.commands(
            [("HSTRLEN", client.key(kind, queue), entry) for entry, _ in rows for kind in kinds]
        )
    )
    wanted = [
        (entry, kind)
        for (entry, kind), length in zip(
            [(entry, kind) for entry, _ in rows for kind in kinds], lengths, strict=True
        )
        if most is None or length <= most
    ]
    values = checked(client.commands([("HGET", client.key(kind, queue), e) for e, kind in wanted]))
    found: dict[tuple[bytes, str], bytes | None] = dict(zip(wanted, values, strict=True))
    return [
        DeadTask(
            entry,
            score / 1_000,
            size,
            found.get((entry, "dead:messages")),
            *_parse_reason(found.get((entry, "dead:reasons"))),
            is_whole=all((entry, kind) in found for kind in kinds),
        )
        for (entry, score), size in zip(rows, lengths[::2], strict=True)
    ]


def _parse_reason(raw: bytes | None) -> tuple[str, str, str | None, str, str]:
    try:
        parts = json.loads(raw or b"{}")
        reason, error, traceback = parts["reason"], parts["error"], parts.get("traceback")
        exception, place = parts.get("class", ""), parts.get("place", "")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "", "", None, "", ""
    trace = None if traceback is None else str(traceback)
    return str(reason), str(error), trace, str(exception), str(place)
