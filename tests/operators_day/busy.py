"""How long each command of the control package keeps Redis busy, by the CPU time of Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from fluxqueue_control.redis_client import RedisClient
from redis import Redis


# The clock would also count how long Redis waits for a core.
class Busy:
    """Counts commands by their names, and those of scripts by the names of these. With a Redis to
    ask it also measures them, one after the other.

    Attributes:
        calls: how often each was called.
        worst: the milliseconds of CPU of its worst call; empty without measuring.
        elements: the most arguments of a call.
    """

    def __init__(self, redis: Redis | None = None) -> None:
        self._redis = redis
        self._cost = 0.0
        self.calls: dict[str, int] = {}
        self.worst: dict[str, float] = {}
        self.elements: dict[str, int] = {}
        if redis is not None:
            # INFO takes some CPU as well.
            seen = [self._cpu() for _ in range(50)]
            self._cost = min(after - before for before, after in pairwise(seen))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches all clients of this process."""
        plain, packed = RedisClient.commands, RedisClient.send
        lock = threading.RLock()

        def commands(client: RedisClient, sent: Any) -> list[Any]:
            words = list(sent)
            if self._redis is None:
                for each in words:
                    self._count(client, each)
                return plain(client, words)
            replies = []
            with lock:
                for each in words:
                    before = self._cpu()
                    replies += plain(client, [each])
                    self._count(client, each, self._cpu() - before - self._cost)
            return replies

        def send(client: RedisClient, sent: Any) -> list[Any]:
            if self._redis is None:
                self._count(client, ("packed",))
                return packed(client, sent)
            with lock:
                before = self._cpu()
                replies = packed(client, sent)
                self._count(client, ("packed",), self._cpu() - before - self._cost)
            return replies

        untyped: Any = RedisClient
        untyped.commands, untyped.send = commands, send
        try:
            yield
        finally:
            untyped.commands, untyped.send = plain, packed

    def _count(self, client: RedisClient, words: Sequence[Any], seconds: float = 0.0) -> None:
        name = _name(client, words)
        self.calls[name] = self.calls.get(name, 0) + 1
        self.elements[name] = max(self.elements.get(name, 0), len(words))
        if self._redis is not None:
            self.worst[name] = max(self.worst.get(name, 0.0), seconds * 1_000)

    def _cpu(self) -> float:
        assert self._redis is not None
        found: Any = self._redis.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _name(client: RedisClient, words: Sequence[Any]) -> str:
    """The name of a command, or of its script."""
    if words[0] != "EVALSHA":
        return str(words[0])
    known = {digest: name for name, (_, digest) in client._scripts.items()}
    return known.get(str(words[1]), "a script")
