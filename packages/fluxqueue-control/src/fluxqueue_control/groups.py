"""The dead set grouped by what went wrong: the task, the reason, the class of the exception and the
place in the code.

A look at the groups first adds tasks that have died since the last one to the index. A task that
leaves the dead set leaves the index in the same step.

Why: docs/decisions/0185-the-dead-set-has-an-index-of-groups.md
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from .errors import UNAVAILABLE, checked
from .redis_client import RedisClient, ScriptCall
from .scanning import scan as scan_key

# Groups that one call asks for, and dead tasks that one call adds, about.
_STEP = 100
_ADDED = 100


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Dead tasks with one cause.

    Attributes:
        digest: its name in Redis; `dead.read_page` and `requeue.replay` take it.
        task: the name of the tasks; empty if their messages can't be read.
        reason: the reason of the dead set, such as `failed`.
        exception: the class of the exception; empty if none was raised.
        place: where it was raised, as `shop/tasks.py:42 in send`; empty if it is not known.
        count: how many tasks it has.
        newest: when the last of them died, in seconds since 1970.
        oldest: when the first of them died.
    """

    digest: str
    task: str
    reason: str
    exception: str
    place: str
    count: int
    newest: float
    oldest: float


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Some groups, in no order.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    groups: Sequence[DeadGroup]
    cursor: int | None


def read_page(
    client: RedisClient,
    queue: str,
    cursor: int | None = None,
    limit: int = _STEP,
    *,
    refresh: bool = True,
    seconds: float | None = None,
) -> GroupPage:
    """Reads about `limit` groups; for the first page it adds what has died since the last look.
    One that stays is on some page; one may be on two.

    Args:
        cursor: the previous page's; None for the first page.
        refresh: False: add nothing, for a user with the right to read only.
        seconds: how long to add, as for `add_new`.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if refresh and cursor is None:
        add_new(client, queue, seconds)
    words = ("HSCAN", client.key("dead:groups", queue), cursor or 0, "COUNT", limit)
    following, found = client.command(*words)
    if not isinstance(found, dict):
        found = dict(zip(found[::2], found[1::2], strict=True))
    return GroupPage(_read(client, queue, list(found.items())), int(following) or None)


def scan(client: RedisClient, queue: str, *, refresh: bool = True) -> Iterator[DeadGroup]:
    """Reads all groups as `read_page` does, page by page, and yields each of them once. Raises as
    `read_page`."""
    if refresh:
        add_new(client, queue)
    seen: set[bytes] = set()
    for found in scan_key(client, "HSCAN", client.key("dead:groups", queue), step=_STEP):
        new = [(digest, text) for digest, text in found if digest not in seen]
        seen.update(digest for digest, _ in new)
        yield from _read(client, queue, new)


def add_new(client: RedisClient, queue: str, seconds: float | None = None) -> bool:
    """Adds the tasks to the index that have died since the last look, in calls of 100 tasks and
    about 1 MiB. Returns False if this user may not write the index. Raises as `read_page`.

    Args:
        seconds: how long to add, about; the next look goes on. None: until all are there.
    """
    ends = math.inf if seconds is None else time.monotonic() + seconds
    try:
        is_true = _is_true(client, queue)
        if not is_true:
            # An older release has removed some from the dead set.
            for page in scan_key(client, "HSCAN", client.key("dead:grouped", queue)):
                for start in range(0, len(page), _ADDED):
                    some = [entry for entry, _ in page[start : start + _ADDED]]
                    client.call(ScriptCall("group_dead", queue, ("check", *some)))
        end, grouped = _add(client, queue, -1 if is_true else 0, ends)
        if grouped != end:
            # The clock went backwards, so some died before others that are in groups.
            _add(client, queue, 0, math.inf)
    except UNAVAILABLE:
        raise
    except ResponseError:
        # Reading says more, if it is more than a missing right.
        return False
    return True


def _is_true(client: RedisClient, queue: str) -> bool:
    """Whether the tasks in groups may be the oldest dead ones, without any that is gone."""
    dead, grouped = client.key("dead", queue), client.key("dead:grouped", queue)
    there, known = checked(client.commands([("ZCARD", dead), ("HLEN", grouped)]))
    if not known or known > there:
        return bool(known == 0)
    last = client.command("ZRANGE", dead, known - 1, known - 1)
    return bool(last and client.command("HEXISTS", grouped, last[0]))


def _add(client: RedisClient, queue: str, rank: int, ends: float) -> tuple[int, int]:
    """Adds tasks from a rank on; returns the rank at which it has ended, and how many are in
    groups."""
    while True:
        words = ("add", rank, _ADDED)
        rank, is_end, grouped = client.call(ScriptCall("group_dead", queue, words))
        if is_end or time.monotonic() > ends:
            return rank, grouped


def is_complete(client: RedisClient, queue: str) -> bool:
    """Whether each dead task is in a group, so that `add_new` has nothing to do. It writes nothing.
    Raises as `read_page`."""
    return count_ungrouped(client, queue) == 0 and _is_true(client, queue)


def count_ungrouped(client: RedisClient, queue: str) -> int:
    """Returns how many dead tasks are in no group yet. Raises as `read_page`."""
    dead, grouped = checked(
        client.commands(
            [("ZCARD", client.key("dead", queue)), ("HLEN", client.key("dead:grouped", queue))]
        )
    )
    return max(int(dead) - int(grouped), 0)


def _read(client: RedisClient, queue: str, texts: Sequence[tuple[bytes, bytes]]) -> list[DeadGroup]:
    keys = [client.key("dead:group", queue, digest.decode(errors="replace")) for digest, _ in texts]
    replies = checked(
        client.commands(
            command
            for key in keys
            for command in (
                ("ZCARD", key),
                ("ZRANGE", key, 0, 0, "WITHSCORES"),
                ("ZREVRANGE", key, 0, 0, "WITHSCORES"),
            )
        )
    )
    return [
        _group(digest, text, int(count), float(oldest[1]), float(newest[1]))
        for (digest, text), count, oldest, newest in zip(
            texts, replies[::3], replies[1::3], replies[2::3], strict=True
        )
        if count and oldest and newest
    ]


def _group(digest: bytes, text: bytes, count: int, oldest: float, newest: float) -> DeadGroup:
    task, reason, exception, place, *_ = [
        *(part.decode(errors="replace") for part in text.split(b"\n")),
        *[""] * 4,
    ]
    name = digest.decode(errors="replace")
    return DeadGroup(name, task, reason, exception, place, count, newest / 1_000, oldest / 1_000)
