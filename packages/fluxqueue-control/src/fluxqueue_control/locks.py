"""The locks of unique tasks: who holds them, since when, and for how long.

No key lists them, so that a unique task pays for none. A page looks through the names of keys, in
bounded calls, and says how far it got.

Why: docs/decisions/0203-locks-are-found-by-a-bounded-scan.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import checked
from .read_numbers import seconds, whole
from .redis_client import RedisClient

# Keys that one call looks at, about: less than a millisecond of Redis.
_STEP = 1_000
# Keys that one page looks at, about.
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class UniqueLock:
    """A lock, which keeps other calls out.

    Attributes:
        digest: its name in Redis: of the name of the task and its unique key, or the id of a task.
        task_id: the task that holds it.
        since: when that task took it, in seconds since 1970; None if it is not known.
        text: what the digest stands for: the name of the task, and the start of its unique key.
        left: seconds until it ends, if it is not renewed; None: it has no end.
        is_replaceable: whether a call may replace the task, because it is still delayed.
    """

    digest: str
    task_id: str
    since: float | None
    text: str
    left: float | None
    is_replaceable: bool


@dataclass(frozen=True, slots=True)
class LockPage:
    """Some locks of a queue, in no order.

    Attributes:
        looked: how many keys of the server it has looked at, about; these may be of other queues.
        cursor: leads to the next page; None on the last one.
    """

    locks: Sequence[UniqueLock]
    looked: int
    cursor: str | None


def read_page(
    client: RedisClient,
    queue: str,
    cursor: str | None = None,
    limit: int = 100,
    *,
    most: int = _MOST,
) -> LockPage:
    """Reads about `limit` locks. A page may have fewer, or none, if `most` keys have none. A lock
    that stays is on some page; one may be on two.

    Args:
        cursor: the previous page's; None for the first page.
        limit: 1 or more.
        most: how many keys of the server to look at, about; 1 or more.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the cursor, `limit` or `most` is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if limit < 1 or most < 1:
        raise ValueError(f"limit is {limit} and most is {most}; give 1 or more")
    at = _position(cursor)
    before = _key(client, queue, "")
    digests: dict[str, None] = {}
    looked = 0
    while True:
        reply = client.command("SCAN", at, "MATCH", f"{before}*", "COUNT", _STEP)
        at, looked = int(reply[0]), looked + _STEP
        names = (name.decode(errors="replace") for name in reply[1])
        digests |= dict.fromkeys(name[len(before) :] for name in names)
        if at == 0 or len(digests) >= limit or looked >= most:
            break
    return LockPage(_read(client, queue, list(digests)), looked, str(at) if at else None)


def show(client: RedisClient, queue: str, digest: str) -> UniqueLock | None:
    """Reads one lock; None if no task holds it. Raises as `read_page`."""
    found = _read(client, queue, [digest])
    return found[0] if found else None


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 20):
        raise ValueError(f"{cursor!r} is not a cursor of locks: pass the one of a page")
    return int(cursor)


def _key(client: RedisClient, queue: str, digest: str) -> str:
    # The name of a key needs a digest.
    return client.key("unique", queue, "x")[:-1] + digest


def _read(client: RedisClient, queue: str, digests: Sequence[str]) -> list[UniqueLock]:
    keys = [_key(client, queue, digest) for digest in digests]
    replies = checked(
        client.commands(
            command
            for key in keys
            for command in (
                ("HMGET", key, "id", "since", "text"),
                ("HSTRLEN", key, "message"),
                ("PTTL", key),
            )
        )
    )
    found = zip(digests, replies[::3], replies[1::3], replies[2::3], strict=True)
    return [
        UniqueLock(
            digest=digest,
            task_id=id_.decode(errors="replace"),
            since=seconds(whole(since)),
            text=(text or b"").decode(errors="replace"),
            left=left / 1_000 if left >= 0 else None,
            is_replaceable=bool(has_message),
        )
        for digest, (id_, since, text), has_message, left in found
        if id_ is not None
    ]
