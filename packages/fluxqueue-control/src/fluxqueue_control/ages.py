"""How long the oldest task of each queue has waited, by a bounded look at the next ones."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from .redis_client import RedisClient, Reply

# How many queues one round trip looks at.
_QUEUES_AT_ONCE = 50
# How many lines of limits of a queue are looked at.
_LINES = 100
_ID = b',"id":"'
# The members with a time are near the end of a message: headers and a checkpoint may follow them.
_TIMES = re.compile(rb',"(due|enqueued_at)":')
_TAIL = 200_000


def read_oldest(client: RedisClient, queues: Sequence[str]) -> dict[str, float | None]:
    """Returns for each queue how long the oldest of the tasks that wait for a worker has waited,
    seconds since its call; None if none waits.

    The next messages are looked at: two of `pending` (the first may have a priority), and one of
    the suspects, of those with priorities, and of each line of a limit, 100 lines at most. A task
    that was delayed counts from when it was due. One that has returned, such as after a rescue,
    counts from its call.

    Raises:
        ConfigurationError: a queue's name is not valid.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    ages: dict[str, float | None] = {}
    for start in range(0, len(queues), _QUEUES_AT_ONCE):
        ages |= _read(client, queues[start : start + _QUEUES_AT_ONCE])
    return ages


def _read(client: RedisClient, queues: Sequence[str]) -> dict[str, float | None]:
    [now, *replies] = client.commands(
        [
            ("TIME",),
            *(
                command
                for queue in queues
                for command in (
                    ("LRANGE", client.key("pending", queue), -2, -1),
                    ("LRANGE", client.key("suspects", queue), -1, -1),
                    ("ZRANGE", client.key("prioritized", queue), 0, 0),
                    ("HGET", client.key("stats", queue), "in_line"),
                )
            ),
        ]
    )
    if isinstance(now, ResponseError):
        raise now
    ms = int(now[0]) * 1_000 + int(now[1]) // 1_000
    found: dict[str, list[bytes]] = {}
    limited: list[str] = []
    for queue, (*ends, in_line) in zip(queues, zip(*[iter(replies)] * 4, strict=True), strict=True):
        found[queue] = [message for end in ends for message in _messages(end)]
        if isinstance(in_line, bytes) and in_line.isdigit() and int(in_line) > 0:
            limited.append(queue)
    for queue in limited:
        found[queue] += _in_lines(client, queue)
    return {queue: _oldest(messages, ms) for queue, messages in found.items()}


def _in_lines(client: RedisClient, queue: str) -> list[bytes]:
    """The next message of some lines of limits."""
    reply = client.commands(
        [("HSCAN", client.key("limits:texts", queue), 0, "COUNT", _LINES)],
    )[0]
    if isinstance(reply, ResponseError):
        return []
    digests = [digest.decode(errors="replace") for digest in list(reply[1])[:_LINES]]
    heads = client.commands(
        [("LINDEX", client.key("limit:line", queue, digest), -1) for digest in digests]
    )
    return [head for head in heads if isinstance(head, bytes)]


def _messages(reply: Reply) -> list[bytes]:
    return [] if isinstance(reply, ResponseError) else list(reply)


def _oldest(messages: Sequence[Any], now: int) -> float | None:
    calls = [ms for message in messages if (ms := waits_since(message)) is not None]
    return max(now - min(calls), 0) / 1_000 if calls else None


def waits_since(message: bytes) -> int | None:
    """Returns when a message was enqueued, or due if that is later; ms since 1970. None if it does
    not say it."""
    times = [_time_of_id(message)]
    if _TIMES.search(message, max(len(message) - _TAIL, 0)) is not None:
        try:
            parts = json.loads(message)
            times += [parts.get("due"), parts.get("enqueued_at")]
        except (ValueError, AttributeError, RecursionError):
            return None
    return max((ms for ms in times if isinstance(ms, int)), default=None)


def _time_of_id(message: bytes) -> int | None:
    at = message.find(_ID, 0, 40)
    try:
        id_ = uuid.UUID(message[at + len(_ID) : at + len(_ID) + 36].decode())
    except ValueError:
        return None
    return id_.int >> 80 if at >= 0 and id_.version == 7 else None
