"""The lines in which tasks wait for a place of their limit, or for its time."""

from __future__ import annotations

from collections.abc import Iterator

from .errors import checked
from .redis_client import RedisClient
from .scanning import scan

# Keys that one round trip asks for, about.
_STEP = 500


def line_of(digest: str) -> str:
    """Returns the name of a line in the scripts `find` and `delete`."""
    return f"limit:line:{digest}"


def lengths(client: RedisClient, queue: str) -> Iterator[tuple[str, int]]:
    """Yields the digests of keys of limits in which tasks wait, and how many.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    for found in scan(client, "HSCAN", client.key("limits:texts", queue), step=_STEP):
        digests = [name.decode(errors="replace") for name, _ in found]
        commands = [("LLEN", client.key("limit:line", queue, digest)) for digest in digests]
        for digest, length in zip(digests, checked(client.commands(commands)), strict=True):
            if length:
                yield digest, int(length)


def lines(client: RedisClient, queue: str) -> Iterator[str]:
    """Yields the digests of `lengths`."""
    return (digest for digest, _ in lengths(client, queue))
