"""The keys that have tasks of one state, in the order in which a page goes through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import checked
from .lines import line_of
from .page_position import Position
from .redis_client import RedisClient
from .tasks import State

# Keys that one round trip asks for, about.
_AT_ONCE = 100

_WAITING: tuple[State, ...] = ("prioritized", "suspects", "pending")


@dataclass(frozen=True, slots=True)
class TaskSource:
    """A key that has tasks.

    Attributes:
        where: its name in the script `search`.
        state: that of its tasks.
        consumer: the consumer, if it is a claimed hash.
        limit: the digest of a limit's key, if it is a line.
    """

    where: str
    state: State
    consumer: str | None = None
    limit: str | None = None


def sources_of(
    client: RedisClient, queue: str, state: str, begin: Position | None
) -> Iterator[tuple[TaskSource, Position]]:
    """Yields the sources of a state, each with the position at which to begin.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the position names no source.
        ResponseError: Redis refused it.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if state == "claimed":
        return _consumers(client, queue, begin)
    if state == "limited":
        return _lines(client, queue, begin)
    kinds: tuple[State, ...] = _WAITING
    if state == "delayed":
        kinds = ("delayed",)
    elif state == "dead":
        kinds = ("dead",)
    if begin is not None and begin.source not in kinds:
        raise ValueError(f"no source {begin.source!r} has {state} tasks")
    rest = kinds if begin is None else kinds[[*kinds].index(_state(begin.source)) :]
    return iter(
        (TaskSource(kind, kind), begin if begin and begin.source == kind else Position(state, kind))
        for kind in rest
    )


def _state(name: str) -> State:
    for kind in (*_WAITING, "delayed", "dead"):
        if kind == name:
            return kind
    raise ValueError(f"no state {name!r}")


def _consumers(
    client: RedisClient, queue: str, begin: Position | None
) -> Iterator[tuple[TaskSource, Position]]:
    """Those that hold tasks, by their ids. A tombstone holds none."""
    ids = client.command("ZRANGEBYSCORE", client.key("consumers", queue), 0, "+inf")
    names = sorted(name.decode(errors="replace") for name in ids)
    if begin is not None:
        names = [name for name in names if name >= begin.source]
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        commands = [("HLEN", client.key("claimed", queue, name)) for name in some]
        commands += [("LLEN", client.key("inbox", queue, name)) for name in some]
        sizes = checked(client.commands(commands))
        for at, name in enumerate(some):
            if sizes[at] or sizes[at + len(some)]:
                source = TaskSource(f"claimed:{name}", "claimed", consumer=name)
                again = begin is not None and begin.source == name
                yield source, begin if again and begin else Position("claimed", name)


def _lines(
    client: RedisClient, queue: str, begin: Position | None
) -> Iterator[tuple[TaskSource, Position]]:
    """The lines of limits in which tasks wait. A source is named by the cursor of the HSCAN that
    has returned it, and its digest."""
    cursor, _, last = ("0", "", "") if begin is None else begin.source.partition(" ")
    if not cursor.isdigit():
        raise ValueError(f"no line {cursor!r}")
    while True:
        key = client.key("limits:texts", queue)
        following, found = client.command("HSCAN", key, cursor, "COUNT", _AT_ONCE)
        digests = [name.decode(errors="replace") for name in found]
        if last in digests:
            digests = digests[digests.index(last) :]
        commands = [("LLEN", client.key("limit:line", queue, digest)) for digest in digests]
        for digest, length in zip(digests, checked(client.commands(commands)), strict=True):
            if length:
                source = TaskSource(line_of(digest), "limited", limit=digest)
                again = begin is not None and digest == last
                fresh = Position("limited", f"{cursor} {digest}")
                yield source, begin if again and begin else fresh
        cursor, last = str(int(following)), ""
        if cursor == "0":
            return
