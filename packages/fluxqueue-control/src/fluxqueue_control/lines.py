"""The lines in which tasks wait for a place of their limit, or for its time."""

from __future__ import annotations

from collections.abc import Iterator

from .errors import checked
from .redis_client import RedisClient

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
    texts, cursor = client.key("limits:texts", queue), 0
    while True:
        reply = client.command("HSCAN", texts, cursor, "COUNT", _STEP)
        cursor, found = int(reply[0]), reply[1]
        names = found if isinstance(found, dict) else found[::2]
        digests = [name.decode(errors="replace") for name in names]
        commands = [("LLEN", client.key("limit:line", queue, digest)) for digest in digests]
        for digest, length in zip(digests, checked(client.commands(commands)), strict=True):
            if length:
                yield digest, int(length)
        if cursor == 0:
            return


def lines(client: RedisClient, queue: str) -> Iterator[str]:
    """Yields the digests of `lengths`."""
    return (digest for digest, _ in lengths(client, queue))
