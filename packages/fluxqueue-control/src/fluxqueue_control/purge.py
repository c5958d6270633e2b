"""Removes all tasks that wait in a queue, or that are dead, in bounded calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Literal, TypeAlias

from .deleting import WaitingTask, delete_dead, delete_waiting
from .errors import checked
from .lines import lengths, line_of, lines
from .redis_client import RedisClient

Place: TypeAlias = Literal["waiting", "delayed", "dead"]
PLACES: Sequence[Place] = ("waiting", "delayed", "dead")

# Tasks and bytes that one call ends, about.
_BATCH = 500
_MOST_BYTES = 262_144
# Messages that may come to the end of a list between a look and the call.
_MARGIN = 100
# Where tasks wait for a worker. Those with a priority go first: one of them may be at the head of
# `pending`, and the next one would follow it there.
_WAITING = ("prioritized", "suspects", "pending")


def count(client: RedisClient, queue: str, place: Place) -> int:
    """Returns how many tasks `purge` would remove now. Raises as `purge`."""
    if place == "waiting":
        in_line = sum(length for _, length in lengths(client, queue))
        return in_line + sum(_length(client, queue, each) for each in _WAITING)
    return _length(client, queue, place)


def purge(client: RedisClient, queue: str, place: Place) -> Iterator[int]:
    """Removes as many tasks as are there when it begins, the oldest first. Yields after each call
    how many it has removed so far. A task that waits ends as `cancelled`, with its result. A task
    that a worker has claimed goes on.

    It can be ended at any moment and begun again. Two at once remove each task once.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    removed = 0
    # Each end of a task with a limit calls the next one of its line to the others.
    in_line = (line_of(digest) for digest in lines(client, queue))
    for each in chain(in_line, _WAITING) if place == "waiting" else (place,):
        left, size = _length(client, queue, each), 10
        while left > 0:
            look = _look_dead if each == "dead" else _look_waiting
            seen, bytes_, end = look(client, queue, each, min(size, left))
            if not seen:
                break
            removed += end()
            # Those that were not removed have left meanwhile.
            left -= seen
            size = max(min(_MOST_BYTES * seen // max(bytes_, 1), _BATCH), 1)
            yield removed


# How many tasks were seen, their bytes, and what removes them and returns how many it has removed.
_Seen: TypeAlias = tuple[int, int, Callable[[], int]]


def _look_waiting(client: RedisClient, queue: str, where: str, size: int) -> _Seen:
    key = _key(client, queue, where)
    if _is_list(where):
        messages = client.command("LRANGE", key, -size, -1)[::-1]
    else:
        messages = client.command("ZRANGE", key, 0, size - 1)
    tasks = [WaitingTask(where, message, -(size + _MARGIN)) for message in messages]
    return len(tasks), sum(map(len, messages)), lambda: sum(delete_waiting(client, queue, tasks))


def _look_dead(client: RedisClient, queue: str, where: str, size: int) -> _Seen:
    flat = client.command("ZRANGE", client.key(where, queue), 0, size - 1, "WITHSCORES")
    rows = list(zip(flat[::2], flat[1::2], strict=True))
    return len(rows), sum(map(len, flat)), lambda: sum(delete_dead(client, queue, rows))


def _length(client: RedisClient, queue: str, where: str) -> int:
    command = "LLEN" if _is_list(where) else "ZCARD"
    [length] = checked(client.commands([(command, _key(client, queue, where))]))
    return int(length)


def _is_list(where: str) -> bool:
    return where in ("pending", "suspects") or where.startswith(line_of(""))


def _key(client: RedisClient, queue: str, where: str) -> str:
    if where.startswith(line_of("")):
        return client.key("limit:line", queue, where.removeprefix(line_of("")))
    return client.key(where, queue)
