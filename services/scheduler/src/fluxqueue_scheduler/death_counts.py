"""Counts the tasks that die, by queue and reason, from what the dead sets get."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from fluxqueue_control.redis_client import RedisClient
from redis.exceptions import ResponseError

# Dead tasks of one queue that one round trip reads, with their tracebacks, and round trips of a
# look. If more have died, the next look goes on.
_AT_ONCE = 50
_LOOKS = 10
# Deaths of the last moment are left for the next look: another may follow in the same ms.
_SETTLED = 1_000
_REASON = re.compile(rb'^\{"reason":"(\w{1,40})"')
OTHER = "other"


class DeathCounts:
    """Counts from its creation on. Each scheduler counts for itself."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        # By queue: the time of the next deaths to count (ms), and how many of that very ms have
        # been counted. An exchange may end hundreds in one ms.
        self._next: dict[str, tuple[int, int]] = {}

    def look(self, client: RedisClient, queues: Sequence[str]) -> None:
        """Counts what has died since the last look, in queues on the client's server.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        time = client.command("TIME")
        until = int(time[0]) * 1_000 + int(time[1]) // 1_000 - _SETTLED
        behind = [queue for queue in queues if self._next.setdefault(queue, (until, 0))[0] <= until]
        for _ in range(_LOOKS):
            if not behind:
                return
            behind = self._look(client, behind, until)

    def _look(self, client: RedisClient, queues: Sequence[str], until: int) -> list[str]:
        """One round trip for the deaths and one for the reasons; returns the queues with more."""
        page = "WITHSCORES", "LIMIT"
        died = client.commands(
            [
                ("ZRANGEBYSCORE", client.key("dead", queue), first, until, *page, skipped, _AT_ONCE)
                for queue in queues
                for first, skipped in [self._next[queue]]
            ]
        )
        # A key of another type has no dead tasks.
        found = {
            queue: [(entry, int(score)) for entry, score in zip(*[iter(reply)] * 2, strict=True)]
            for queue, reply in zip(queues, died, strict=True)
            if not isinstance(reply, ResponseError)
        }
        reasons = client.commands(
            [
                ("HMGET", client.key("dead:reasons", queue), *(entry for entry, _ in deaths))
                for queue, deaths in found.items()
                if deaths
            ]
        )
        texts = iter(reasons)
        for queue, deaths in found.items():
            reply = next(texts) if deaths else []
            if not isinstance(reply, ResponseError):
                self.counts[queue].update(_reason(text) for text in reply)
            self._next[queue] = self._after(self._next[queue], [ms for _, ms in deaths], until)
        return [queue for queue, deaths in found.items() if len(deaths) == _AT_ONCE]

    @staticmethod
    def _after(place: tuple[int, int], died: Sequence[int], until: int) -> tuple[int, int]:
        """The place that follows the deaths of one page."""
        if len(died) < _AT_ONCE:
            return until + 1, 0
        same = died.count(died[-1])
        return died[-1], same + (place[1] if died[-1] == place[0] else 0)


def _reason(text: bytes | None) -> str:
    found = _REASON.match(text or b"")
    return found[1].decode() if found else OTHER
