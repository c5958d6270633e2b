"""Looks at queues at intervals: how many tasks they have, and how many end each second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ages import read_oldest
from .counting import Counting
from .errors import checked
from .pausing import read_paused
from .queues import Lengths, read_lengths
from .read_numbers import whole
from .redis_client import RedisClient
from .registry import read_names
from .servers import Servers
from .stats import Window

# The counters of a queue of which rates are shown.
COUNTED = ("succeeded", "retried", "dead")
# How many queues one round trip asks for.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Observation:
    """A queue at a moment.

    Attributes:
        at: seconds since 1970, by this machine's clock.
        rates: how many tasks each second have `succeeded`, were `retried` or are `dead`, since the
            last observation; empty in the first one. The counters of the queue are exact.
        oldest: how long the oldest task has waited, seconds; None if none waits.
        window: the times of the tasks of the last minute, as workers have counted them since they
            know that a tool looks; None if this user may not read them.
    """

    at: float
    queue: str
    lengths: Lengths
    is_paused: bool
    rates: Mapping[str, float]
    oldest: float | None = None
    window: Window | None = None

    @property
    def wait(self) -> float | None:
        """The wait that 95% of the tasks did not exceed, seconds; None if none was counted."""
        return None if self.window is None else self.window.numbers.wait.percentile(95)

    @property
    def run(self) -> float | None:
        """The run time that 95% of the attempts did not exceed, in the same way."""
        return None if self.window is None else self.window.numbers.run.percentile(95)

    @property
    def is_empty(self) -> bool:
        """Whether no task waits, is delayed or is at work."""
        lengths = self.lengths
        here = (lengths.pending, lengths.suspects, lengths.delayed, lengths.claimed)
        return all(number == 0 for number in here)


class Observer:
    """Observes queues; takes a few round trips for each 100 of them, each time.

    Args:
        queues: which; by default all that a worker has served, read each time.
    """

    def __init__(self, servers: Servers, queues: Sequence[str] = ()) -> None:
        self._servers = servers
        self._queues = queues
        self._counted: dict[str, tuple[float, tuple[int, ...]]] = {}
        self._counting = Counting()

    def observe(self) -> list[Observation]:
        """Looks at the queues.

        Raises:
            ConfigurationError: a queue's name is not valid.
            NoCluster: the server is not a node of a cluster.
            ResponseError: Redis refused it, such as for a key of another type.
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        names = self._queues or read_names(self._servers.of_registry()).names
        found: dict[str, Observation] = {}
        by_client = self._servers.of_queues(names)
        windows = self._counting.read(by_client)
        for client, some in by_client:
            lengths, paused = read_lengths(client, some), read_paused(client, some)
            counts, oldest = _count(client, some), read_oldest(client, some)
            now, at = time.monotonic(), time.time()
            for queue in some:
                rates = self._rates(queue, now, counts[queue])
                parts = (at, queue, lengths[queue], paused[queue], rates)
                found[queue] = Observation(*parts, oldest[queue], windows.get(queue))
        return [found[name] for name in names]

    def _rates(self, queue: str, now: float, counts: tuple[int, ...]) -> dict[str, float]:
        before = self._counted.get(queue)
        self._counted[queue] = now, counts
        if before is None or now <= before[0]:
            return {}
        seconds = now - before[0]
        # A counter begins again if the key was deleted.
        steps = [max(new - old, 0) for new, old in zip(counts, before[1], strict=True)]
        return {name: step / seconds for name, step in zip(COUNTED, steps, strict=True)}


def watch(
    observer: Observer, interval: float, sleep: Callable[[float], Any] = time.sleep
) -> Iterator[list[Observation]]:
    """Yields what the observer sees, every `interval` seconds. Raises as `observe`."""
    following = time.monotonic()
    while True:
        yield observer.observe()
        following = max(following + interval, time.monotonic())
        sleep(max(following - time.monotonic(), 0.0))


def _count(client: RedisClient, queues: Sequence[str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for start in range(0, len(queues), _AT_ONCE):
        some = queues[start : start + _AT_ONCE]
        replies = checked(
            client.commands(("HMGET", client.key("stats", queue), *COUNTED) for queue in some)
        )
        for queue, values in zip(some, replies, strict=True):
            found[queue] = tuple(whole(value) or 0 for value in values)
    return found
