"""The audit of a queue: who has changed what and when, how many tasks, and with which outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import checked
from .redis_client import RedisClient

# How many queues one round trip asks for.
_QUEUES_AT_ONCE = 100
_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
_COUNT = re.compile(r"([^ =]+)=([0-9]{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change.

    Attributes:
        id: its id in the stream of its queue.
        at: seconds since 1970, by the clock of Redis.
        who: the actor (`actor.acting`).
        what: the change, such as `replay` or `pause`.
        on: the task, limit or periodic task, or which tasks of the queue.
        outcome: how many had which answer, such as `{"done": 3, "absent": 1}`. A change of many
            calls has two entries: the first one says `begun`, the last one `ended` or `stopped`,
            with the numbers.
    """

    id: str
    at: float
    who: str
    what: str
    on: str
    outcome: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some changes of a queue, the newest first.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    entries: Sequence[AuditEntry]
    cursor: str | None


def read_page(
    client: RedisClient, queue: str, cursor: str | None = None, limit: int = 100
) -> AuditPage:
    """Reads a page of changes, the newest first. Redis keeps about the last 10,000 of a queue.

    Args:
        cursor: the previous page's; None for the first page.
        limit: the most entries to return, from 1 to 1000.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the cursor or the limit is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if not 1 <= limit <= 1_000:
        raise ValueError("the limit of a page is out of range; choose one from 1 to 1000")
    if cursor is not None and _ID.fullmatch(cursor) is None:
        raise ValueError(f"{cursor!r} is not a cursor of an audit: pass the one of a page")
    newest = "+" if cursor is None else f"({cursor}"
    # One more than asked for tells whether there is another page.
    words = ("XREVRANGE", client.key("audit", queue), newest, "-", "COUNT", limit + 1)
    entries = [_entry(*each) for each in client.command(*words)]
    following = entries[limit - 1].id if len(entries) > limit else None
    return AuditPage(entries[:limit], following)


def read_last(
    client: RedisClient, queues: Sequence[str], limit: int = 10
) -> dict[str, Sequence[AuditEntry]]:
    """Reads the last changes of queues on the client's server, of each the newest first. Takes a
    round trip for each 100 queues.

    Args:
        limit: the most entries of a queue.

    Raises:
        ConfigurationError, ResponseError, UNAVAILABLE: as `read_page`.
    """
    found: dict[str, Sequence[AuditEntry]] = {}
    for start in range(0, len(queues), _QUEUES_AT_ONCE):
        some = queues[start : start + _QUEUES_AT_ONCE]
        replies = checked(
            client.commands(
                [("XREVRANGE", client.key("audit", q), "+", "-", "COUNT", limit) for q in some]
            )
        )
        for queue, reply in zip(some, replies, strict=True):
            found[queue] = [_entry(*each) for each in reply]
    return found


def _entry(raw: bytes, fields: Mapping[bytes, bytes]) -> AuditEntry:
    parts = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in fields.items()
    }
    name = raw.decode()
    outcome = {word: int(count) for word, count in _COUNT.findall(parts.get("outcome", ""))}
    return AuditEntry(
        name,
        int(name.partition("-")[0]) / 1_000,
        parts.get("who", ""),
        parts.get("what", ""),
        parts.get("on", ""),
        outcome,
    )
