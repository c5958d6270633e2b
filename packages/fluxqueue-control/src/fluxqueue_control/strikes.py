"""Strikes: stop the tasks of a name, or those with a certain argument, before they begin.

Workers learn of a strike by their next exchange, after a third of their lease at most. A task that
is stopped is dead with the reason `struck`: lift the strike, then replay it.

Why: docs/decisions/0187-workers-judge-strikes.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.strikes import Strike

from .errors import checked
from .redis_client import Audit, RedisClient, ScriptCall

__all__ = ["Strike", "Struck", "lift", "read_all", "read_of", "strike"]

# How many queues one round trip asks for.
_QUEUES_AT_ONCE = 100

Struck: TypeAlias = Literal["struck", "unchanged"]


def strike(client: RedisClient, queue: str, rule: Strike) -> Struck:
    """Stops the tasks that the strike describes. `unchanged`: the queue has this strike already.

    Raises:
        ConfigurationError: the queue's name is not valid, the rule is too long, or the queue has
            100 strikes already.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    record = rule.record()
    audit = Audit("strike", _text(rule))
    [word] = client.call(ScriptCall("operate", queue, ("strike", rule.id, record), audit=audit))
    if word == b"full":
        raise ConfigurationError(
            f"queue {queue!r} has 100 strikes already, which each exchange of its workers returns; "
            f"lift one"
        )
    return "struck" if word == b"struck" else "unchanged"


def lift(client: RedisClient, queue: str, strike_id: str) -> bool:
    """Lifts a strike; returns whether there was one. Tasks that it has stopped stay in the dead
    set until they are replayed. Raises as `strike`."""
    words = ("lift", strike_id)
    audit = Audit("strike lift", strike_id)
    [word] = client.call(ScriptCall("operate", queue, words, audit=audit))
    return bool(word == b"lifted")


def read_all(client: RedisClient, queue: str) -> Sequence[Strike]:
    """Reads the strikes of a queue, 100 at most. Raises as `strike`."""
    return read_of(client, [queue])[queue]


def read_of(client: RedisClient, queues: Sequence[str]) -> dict[str, Sequence[Strike]]:
    """Reads the strikes of queues on the client's server, of each 100 at most. Takes a round trip
    for each 100 queues. Raises as `strike`."""
    found: dict[str, Sequence[Strike]] = {}
    for start in range(0, len(queues), _QUEUES_AT_ONCE):
        some = queues[start : start + _QUEUES_AT_ONCE]
        replies = checked(client.commands([("HVALS", client.key("strikes", q)) for q in some]))
        for queue, records in zip(some, replies, strict=True):
            parsed = (Strike.parse(record) for record in records)
            found[queue] = [each for each in parsed if each is not None]
    return found


def _text(rule: Strike) -> str:
    # Not the value, which is an argument of a task: the strike itself has it.
    by = "" if rule.argument is None else f" by {rule.argument}"
    return f"{rule.id}: {rule.task}{by}"
