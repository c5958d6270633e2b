"""Looks through hashes and sorted sets, in bounded calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .redis_client import RedisClient

# Elements that one call looks at, about.
_STEP = 2_000


def scan(
    client: RedisClient, command: str, key: str, pattern: str = "*", step: int = _STEP
) -> Iterator[list[tuple[bytes, Any]]]:
    """Yields the pairs of a hash or a sorted set that match, those of each call together. Redis
    shows each that stays.

    Args:
        command: `HSCAN` or `ZSCAN`.
        step: how many elements one call looks at, about.

    Raises:
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    cursor = 0
    while True:
        reply = client.command(command, key, cursor, "MATCH", pattern, "COUNT", step)
        cursor, found = int(reply[0]), reply[1]
        yield list(found.items() if isinstance(found, dict) else found)
        if cursor == 0:
            return
