"""Removes all tasks that wait in a queue, or that are dead, in bounded calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from .deleting import WaitingTask, delete_dead, delete_waiting
from .lines import lengths, line_of, lines
from .noting import noted
from .redis_client import Audit, RedisClient

Part: TypeAlias = Literal["waiting", "delayed", "dead"]
PARTS: Sequence[Part] = ("waiting", "delayed", "dead")

# Tasks and bytes that one call ends, about.
_BATCH = 100
_MOST_BYTES = 262_144
# Messages that may come to the end of a list between a look and the call.
_MARGIN = 100
# The keys with tasks that wait for a worker, besides the lines of limits. Those with a priority go
# first: one of them may be at the head of `pending`, and the next one would follow it there.
_WAITING = ("prioritized", "suspects", "pending")
_SETS = ("prioritized", "delayed", "dead")


class _Source(NamedTuple):
    """A key that has tasks, and its name in the script `delete`."""

    where: str
    key: str

    @property
    def is_list(self) -> bool:
        return self.where not in _SETS


def count(client: RedisClient, queue: str, part: Part) -> int:
    """Returns how many tasks `purge` would remove now. Raises as `purge`."""
    in_line = lengths(client, queue) if part == "waiting" else ()
    return sum(length for _, length in in_line) + sum(
        _length(client, source) for source in _sources(client, queue, part)
    )


def purge(client: RedisClient, queue: str, part: Part) -> Iterator[int]:
    """Removes as many tasks as are there when it begins, the oldest first. Yields after each call
    how many it has removed so far. A task that waits ends as `cancelled`, with its result. A task
    that a worker has claimed goes on.

    It can be ended at any moment and begun again. Two at once remove each task once.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    with noted(lambda: client, queue, Audit("purge", part)) as outcome:
        yield from _purge(client, queue, part, outcome)


def _purge(client: RedisClient, queue: str, part: Part, outcome: Counter[str]) -> Iterator[int]:
    look = _look_dead if part == "dead" else _look_waiting
    # First: each end of a task with a limit admits the next one of its line to the others.
    lines_of_limits = _lines(client, queue) if part == "waiting" else ()
    for source in chain(lines_of_limits, _sources(client, queue, part)):
        left, size = _length(client, source), 10
        while left > 0:
            seen, bytes_, end = look(client, queue, source, min(size, left))
            if not seen:
                break
            outcome["done"] += end()
            # Those that were not removed have left meanwhile.
            left -= seen
            size = max(min(_MOST_BYTES * seen // max(bytes_, 1), _BATCH), 1)
            yield outcome["done"]


def _sources(client: RedisClient, queue: str, part: Part) -> list[_Source]:
    names = _WAITING if part == "waiting" else (part,)
    return [_Source(name, client.key(name, queue)) for name in names]


def _lines(client: RedisClient, queue: str) -> Iterator[_Source]:
    for digest in lines(client, queue):
        yield _Source(line_of(digest), client.key("limit:line", queue, digest))


# How many tasks were seen, their bytes, and what removes them and returns how many it has removed.
_Seen: TypeAlias = tuple[int, int, Callable[[], int]]


def _look_waiting(client: RedisClient, queue: str, source: _Source, size: int) -> _Seen:
    if source.is_list:
        messages = client.command("LRANGE", source.key, -size, -1)[::-1]
    else:
        messages = client.command("ZRANGE", source.key, 0, size - 1)
    tasks = [WaitingTask(source.where, message, -(size + _MARGIN)) for message in messages]
    return (
        len(tasks),
        sum(map(len, messages)),
        lambda: sum(delete_waiting(client, queue, tasks, is_audited=False)),
    )


def _look_dead(client: RedisClient, queue: str, source: _Source, size: int) -> _Seen:
    flat = client.command("ZRANGE", source.key, 0, size - 1, "WITHSCORES")
    rows = list(zip(flat[::2], flat[1::2], strict=True))
    return (
        len(rows),
        sum(map(len, flat)),
        lambda: sum(delete_dead(client, queue, rows, is_audited=False)),
    )


def _length(client: RedisClient, source: _Source) -> int:
    return int(client.command("LLEN" if source.is_list else "ZCARD", source.key))
