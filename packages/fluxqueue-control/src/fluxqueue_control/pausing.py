"""Pauses queues and resumes them."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import checked
from .redis_client import Audit, RedisClient, ScriptCall

# How many queues one round trip asks for.
_AT_ONCE = 100


def pause(client: RedisClient, queue: str) -> bool:
    """Pauses a queue: workers claim nothing until it is resumed, except one task each that they
    have asked for already. Running tasks go on. Returns whether it was not paused before.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    return _change(client, queue, "pause") == "paused"


def resume(client: RedisClient, queue: str) -> bool:
    """Resumes a queue. Returns whether it was paused. Raises as `pause`."""
    return _change(client, queue, "resume") == "resumed"


def read_paused(client: RedisClient, queues: Sequence[str]) -> dict[str, bool]:
    """Reads which queues are paused, all of them on the client's server, in one round trip for
    each 100. Raises as `pause`."""
    paused: dict[str, bool] = {}
    for start in range(0, len(queues), _AT_ONCE):
        some = queues[start : start + _AT_ONCE]
        replies = checked(client.commands(("EXISTS", client.key("paused", each)) for each in some))
        paused |= zip(some, map(bool, replies), strict=True)
    return paused


def _change(client: RedisClient, queue: str, what: str) -> str:
    audit = Audit(what, "the queue")
    [word] = client.call(ScriptCall("operate", queue, (what,), audit=audit))
    return str(word.decode())
