"""Moves the tasks that FluxQueue 0.3.2 has left in Redis into queues of this release.

0.3.2 keeps a list of waiting tasks, a sorted set of failed ones by the second in which they run
again, and a list of dead ones. Each task moves in one step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Literal, TypeAlias

from fluxqueue_core import Producer, dead_reason, message_field
from fluxqueue_core.errors import ConfigurationError

from .noting import noted
from .old_messages import Names, UnreadableError, converted
from .redis_client import Audit, RedisClient

Part: TypeAlias = Literal["waiting", "delayed", "dead"]
PARTS: Sequence[Part] = ("waiting", "delayed", "dead")

_OLD = {"waiting": "fluxqueue:queue:", "delayed": "fluxqueue:failed:", "dead": "fluxqueue:dead:"}
_NEW = {
    "waiting": ("pending",),
    "delayed": ("delayed",),
    "dead": ("dead", "dead:messages", "dead:reasons"),
}
_REASON = dead_reason("failed", "it was dead in FluxQueue 0.3.2")
# Tasks and bytes that one call moves, about.
_BATCH = 100
_MOST_BYTES = 262_144
# Reasons of tasks that stay which the answer has, at most.
MOST_REASONS = 20


@dataclass
class Migrated:
    """The tasks of one queue so far, counted.

    Attributes:
        moved: how many, by part. In a dry run: how many would move.
        left: how many stay where they are, because this release can't have them.
        gone: how many another process has taken since they were read.
        reasons: why tasks stay: the part, and a text; the first 20.
    """

    moved: Counter[Part] = field(default_factory=Counter)
    left: int = 0
    gone: int = 0
    reasons: list[tuple[Part, str]] = field(default_factory=list)

    def stays(self, part: Part, reason: str) -> None:
        """Counts a task that stays where it is."""
        self.left += 1
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append((part, reason))


def old_queues(client: RedisClient) -> list[str]:
    """Returns the names of the queues in which 0.3.2 has left tasks. It looks through all keys of
    the database, a part in each call.

    Raises:
        ResponseError: Redis refused it.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    found = set()
    for prefix in _OLD.values():
        cursor: bytes | int = 0
        while True:
            cursor, keys = client.command("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1_000)
            found |= {key.decode(errors="replace").removeprefix(prefix) for key in keys}
            if int(cursor) == 0:
                break
    return sorted(found)


def count(client: RedisClient, queue: str) -> int:
    """Returns how many tasks a queue of 0.3.2 has. Raises as `migrate`."""
    return sum(_length(client, part, queue) for part in PARTS)


def migrate(
    client: RedisClient,
    producer: Producer,
    queue: str,
    target: str,
    *,
    names: Names | None = None,
    dry_run: bool = False,
) -> Iterator[Migrated]:
    """Moves the tasks that a queue of 0.3.2 has when it begins, oldest first. Yields the same
    object after each call.

    A task keeps its id, its arguments, the time of its call and its count of failures. It can be
    ended at any moment and begun again: a task is in one of both places. A message that can't be
    read, or has arguments that JSON can't carry, stays where it is.

    Args:
        producer: of the same Redis and namespace; it makes the messages.
        target: the queue of this release.
        names: the names that tasks have in this release. A task stays if its name has a `-` of
            which it is not known whether the code has a `_` there.

    Raises:
        ConfigurationError: the target's name is not valid, or this is a cluster.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if client.is_cluster:
        raise ConfigurationError(
            "in a cluster the keys of 0.3.2 and of this release have other hash slots, so no step "
            "can move a task; 0.3.2 works with a single server only"
        )
    client.key("pending", target)
    found = Migrated()
    convert = partial(converted, producer=producer, queue=target, names=names or Names())
    if dry_run:
        yield from _migrate(client, convert, queue, target, found, dry_run=True)
        return
    with noted(lambda: client, target, Audit("migrate", f"queue {queue} of 0.3.2")) as outcome:
        for _ in _migrate(client, convert, queue, target, found, dry_run=False):
            outcome["moved"], outcome["left"] = found.moved.total(), found.left
            yield found


def _migrate(
    client: RedisClient,
    convert: Callable[[bytes], bytes],
    queue: str,
    target: str,
    found: Migrated,
    *,
    dry_run: bool,
) -> Iterator[Migrated]:
    for part in PARTS:
        left, skipped, size = _length(client, part, queue), 0, 10
        while left > 0:
            rows = _page(client, part, queue, skipped, min(size, left))
            if not rows:
                break
            words = _words(part, rows, convert, found)
            if dry_run or not words:
                found.moved[part] += len(words)
                skipped += len(rows)
            else:
                replies = _move(client, part, queue, target, words)
                found.moved[part] += replies.count(1)
                found.gone += replies.count(0)
                for _ in range(replies.count(-1)):
                    found.stays(part, "the dead set has a task with its id already")
                skipped += len(rows) - len(words) + replies.count(-1)
            left -= len(rows)
            size = max(min(_MOST_BYTES * len(rows) // sum(len(raw) for raw, _ in rows), _BATCH), 1)
            yield found


# An old message, and its time in the old sorted set or b"".
_Row: TypeAlias = tuple[bytes, bytes]
# The four values of a task for the script.
_Words: TypeAlias = tuple[bytes, bytes, bytes, bytes]


def _page(client: RedisClient, part: Part, queue: str, skipped: int, size: int) -> list[_Row]:
    key = f"{_OLD[part]}{queue}"
    if part == "delayed":
        flat = client.command("ZRANGE", key, skipped, skipped + size - 1, "WITHSCORES")
        return list(zip(flat[::2], flat[1::2], strict=True))
    messages = client.command("LRANGE", key, -(skipped + size), -(skipped + 1))
    return [(message, b"") for message in reversed(messages)]


def _words(
    part: Part, rows: Sequence[_Row], convert: Callable[[bytes], bytes], found: Migrated
) -> list[_Words]:
    words = []
    for raw, time in rows:
        try:
            new = convert(raw)
        except UnreadableError as error:
            found.stays(part, str(error))
            continue
        entry = message_field(new) if part == "dead" else b""
        words.append((raw, new, time, entry or b""))
    return words


def _move(
    client: RedisClient, part: Part, queue: str, target: str, words: Sequence[_Words]
) -> list[int]:
    keys = [f"{_OLD[part]}{queue}", *(client.key(kind, target) for kind in _NEW[part])]
    reason = _REASON if part == "dead" else b""
    flat = [word for each in words for word in each]
    replies: list[int] = client.command("EVAL", _script(), len(keys), *keys, part, reason, *flat)
    return replies


@cache
def _script() -> str:
    return Path(__file__).with_name("migrate.lua").read_text()


def _length(client: RedisClient, part: Part, queue: str) -> int:
    return int(client.command("ZCARD" if part == "delayed" else "LLEN", f"{_OLD[part]}{queue}"))
