"""Looks through hashes, sorted sets and pages of them, in bounded calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from .redis_client import RedisClient

# Elements that one call looks at, about.
_STEP = 1_000


class Page(Protocol):
    """Some of several. `cursor` leads to the next page; None on the last one."""

    @property
    def cursor(self) -> Any: ...


AnyPage = TypeVar("AnyPage", bound=Page)
T = TypeVar("T")


def all_pages(read: Callable[[Any], AnyPage]) -> Iterator[AnyPage]:
    """Yields each page that a function returns for a cursor, from the first one on."""
    page = read(None)
    yield page
    while page.cursor is not None:
        page = read(page.cursor)
        yield page


def each_once(groups: Iterable[Iterable[T]], name: Callable[[T], str]) -> Iterator[T]:
    """Yields the elements of groups, without those whose name came before: Redis may show an
    element of a set twice while the set grows or shrinks."""
    seen: set[str] = set()
    for group in groups:
        for each in group:
            if name(each) not in seen:
                seen.add(name(each))
                yield each


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
