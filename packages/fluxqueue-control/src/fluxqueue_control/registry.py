"""The registry: the set with the name of each queue that a worker has served. Its key is
`fluxqueue:queues` in the default namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxqueue_core import check_queue_name
from fluxqueue_core.errors import ConfigurationError

from .redis_client import RedisClient


@dataclass(frozen=True, slots=True)
class QueueNames:
    """The members of the registry.

    Attributes:
        names: the names of the queues, sorted.
        refused: members that are not a queue's name, and why. Another program has
            added them.
    """

    names: tuple[str, ...]
    refused: Mapping[bytes, str]


def read_names(client: RedisClient) -> QueueNames:
    """Reads the names of all queues. O(queues), with one name of at most 128 bytes each.

    Raises:
        ResponseError: Redis refused it, such as for a key that is not a set.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    names: list[str] = []
    refused: dict[bytes, str] = {}
    for member in client.command("SMEMBERS", client.key("queues")):
        try:
            name = member.decode()
            check_queue_name(name)
        except (UnicodeDecodeError, ConfigurationError) as error:
            refused[member] = str(error)
        else:
            names.append(name)
    return QueueNames(tuple(sorted(names)), refused)


def register(client: RedisClient, name: str) -> bool:
    """Adds a queue's name; returns whether it is new.

    Raises:
        ResponseError: Redis refused it, such as for a key that is not a set.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    return bool(client.command("SADD", client.key("queues"), name))
