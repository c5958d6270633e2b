"""The scripts of a queue, with a record of the messages that must not be lost."""

from __future__ import annotations

import re
from typing import Any

from .scripts import Scripts


def numbers(*of: bytes) -> set[int]:
    """Returns the numbers of the messages (`scripts.message`) in these bytes."""
    return {int(n, 16) for raw in of for n in re.findall(rb'"id":"[^"]*-([0-9a-f]{12})"', raw)}


class Sent(Scripts):
    """Scripts that record the number of each message that they enqueue.

    Attributes:
        numbers: of the messages that were enqueued.
    """

    def __init__(self, admin: Any, namespace: str = "") -> None:
        super().__init__(admin, namespace=namespace)
        self.numbers: set[int] = set()

    def enqueue(self, *of: bytes) -> None:
        super().enqueue(*of)
        self.numbers |= numbers(*of)

    def holds(self, name: str | bytes) -> set[int]:
        """The messages in a key of any type."""
        kind = self.redis.type(name)
        if kind == b"list":
            return numbers(*self.redis.lrange(name, 0, -1))
        if kind == b"hash":
            return numbers(*self.redis.hvals(name))
        if kind == b"zset":
            return numbers(*self.redis.zrange(name, 0, -1))
        return set()

    def lost(self) -> set[int]:
        """Those that stand nowhere any more."""
        kept = (self.holds(name) for name in self.redis.scan_iter())
        return self.numbers.difference(*kept)
