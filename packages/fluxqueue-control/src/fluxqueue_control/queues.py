"""How many tasks a queue has, by where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .read_numbers import whole
from .redis_client import RedisClient, Reply

# How many queues, or consumers, one round trip asks for.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Lengths:
    """Numbers of tasks. None: Redis can't count them, because the key has another type.

    Attributes:
        pending: tasks that wait for a worker, with those that have a priority and those that wait
            for their limit.
        suspects: tasks that have lost two workers and wait to run alone.
        delayed: tasks that wait for their time, such as retries.
        claimed: tasks that workers hold.
        dead: dead tasks that are kept.
    """

    pending: int | None
    suspects: int | None
    delayed: int | None
    claimed: int | None
    dead: int | None


def read_lengths(client: RedisClient, queues: Sequence[str]) -> dict[str, Lengths]:
    """Reads the lengths of queues, all of them on the client's server.

    Takes a round trip for each 100 queues and one for each 100 of their workers.

    Raises:
        ConfigurationError: a queue's name is not valid.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    lengths: dict[str, Lengths] = {}
    for start in range(0, len(queues), _AT_ONCE):
        lengths |= _read(client, queues[start : start + _AT_ONCE])
    return lengths


def _read(client: RedisClient, queues: Sequence[str]) -> dict[str, Lengths]:
    replies = iter(
        client.commands(
            command
            for queue in queues
            for command in (
                ("LLEN", client.key("pending", queue)),
                ("ZCARD", client.key("prioritized", queue)),
                ("HGET", client.key("stats", queue), "in_line"),
                ("LLEN", client.key("suspects", queue)),
                ("ZCARD", client.key("delayed", queue)),
                ("ZCARD", client.key("dead", queue)),
                # The consumers that have a lease: a tombstone's score is negative.
                ("ZRANGEBYSCORE", client.key("consumers", queue), 0, "+inf"),
            )
        )
    )
    rows = dict(zip(queues, zip(*[replies] * 7, strict=True), strict=True))
    claimed = _count_claimed(client, {queue: row[6] for queue, row in rows.items()})
    return {
        queue: Lengths(
            pending=total(pending, prioritized, _number(in_line)),
            suspects=total(suspects),
            delayed=total(delayed),
            claimed=claimed.get(queue),
            dead=total(dead),
        )
        for queue, (pending, prioritized, in_line, suspects, delayed, dead, _) in rows.items()
    }


def _count_claimed(client: RedisClient, consumers: Mapping[str, Reply]) -> dict[str, int]:
    """Counts what the consumers of each queue hold. A queue whose consumers Redis can't
    read is not in the result."""
    counts = {queue: 0 for queue, ids in consumers.items() if isinstance(ids, list)}
    held = [
        (queue, client.key("claimed", queue, consumer.decode(errors="replace")))
        for queue in counts
        for consumer in consumers[queue]
    ]
    for start in range(0, len(held), _AT_ONCE):
        some = held[start : start + _AT_ONCE]
        replies = client.commands([("HLEN", claimed) for _, claimed in some])
        for (queue, _), reply in zip(some, replies, strict=True):
            counts[queue] += total(reply) or 0
    return counts


def _number(reply: Reply) -> Reply:
    """A counter, 0 if it does not exist; None if another program has written it."""
    if reply is None:
        return 0
    return whole(reply) if isinstance(reply, bytes) else reply


def total(*replies: Reply) -> int | None:
    """Returns the sum of the replies of LLEN and ZCARD; None if one of them is an error."""
    numbers = [reply for reply in replies if isinstance(reply, int)]
    return sum(numbers) if len(numbers) == len(replies) else None
