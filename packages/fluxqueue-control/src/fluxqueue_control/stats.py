"""Rates, waits and run times of tasks, which workers count while a reader watches a queue.

`watch` asks the workers of queues to count, for two minutes. Within a third of their lease they
do; from then on `read` has numbers. Without a reader nothing is counted.

Why: docs/decisions/0191-numbers-only-while-a-reader-watches.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from .errors import checked
from .histogram import BUCKETS, TimeHistogram
from .read_numbers import whole
from .redis_client import RedisClient

# For how long workers count after a call of `watch`, seconds: Prometheus may come once a minute.
WATCHED = 120
# The length of a slot of time, seconds, and for how long Redis keeps one.
SLOT = 10
KEPT = 900
# How many slots one round trip reads.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Ends:
    """How many attempts have ended, by how they did.

    Attributes:
        ran: how long they ran together, seconds.
    """

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    ran: float = 0.0

    def __add__(self, other: Ends) -> Ends:
        return Ends(
            self.succeeded + other.succeeded,
            self.retried + other.retried,
            self.dead + other.dead,
            self.ran + other.ran,
        )


@dataclass(frozen=True, slots=True)
class Numbers:
    """The counts of workers in one queue, or in several that were added up.

    Attributes:
        ends: of all tasks.
        tasks: by the name of a task. There are up to about 300 names; `ends` counts all.
        wait: from the call of a task, or from when it was due, to its first attempt.
        run: how long the attempts took.
    """

    ends: Ends = Ends()
    tasks: Mapping[str, Ends] = field(default_factory=dict)
    wait: TimeHistogram = field(default_factory=TimeHistogram)
    run: TimeHistogram = field(default_factory=TimeHistogram)

    def __add__(self, other: Numbers) -> Numbers:
        tasks = dict(self.tasks)
        for name, ends in other.tasks.items():
            tasks[name] = tasks.get(name, Ends()) + ends
        return Numbers(self.ends + other.ends, tasks, self.wait + other.wait, self.run + other.run)


@dataclass(frozen=True, slots=True)
class Window:
    """The numbers of a queue in the last seconds.

    Attributes:
        numbers: the counts of workers.
        seconds: the length of the window, for rates.
    """

    numbers: Numbers
    seconds: float

    @property
    def rate(self) -> float:
        """Attempts that have ended, per second."""
        ends = self.numbers.ends
        return (ends.succeeded + ends.retried + ends.dead) / self.seconds

    def __add__(self, other: Window) -> Window:
        return Window(self.numbers + other.numbers, max(self.seconds, other.seconds))


def watch(client: RedisClient, queues: Iterable[str]) -> None:
    """Asks the workers of these queues, all on the client's server, to count for two minutes.
    Call it again before they have passed.

    Raises:
        ConfigurationError: a queue's name is not valid.
        ResponseError: Redis refused it, such as a user without the right.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    marks = [client.key("watched", queue) for queue in queues]
    checked(client.commands([("SET", mark, 1, "EX", WATCHED) for mark in marks]))


def read(client: RedisClient, queues: Sequence[str], seconds: int = 60) -> dict[str, Window]:
    """Reads the numbers of the last seconds, of queues on the client's server. The window ends with
    the last whole slot of 10 s, and is rounded up to whole slots.

    Args:
        seconds: 10 to 900.

    Raises:
        ValueError: `seconds` is out of its range.
        ConfigurationError: a queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if not SLOT <= seconds <= KEPT:
        raise ValueError(f"the window is {seconds} s long; give {SLOT} to {KEPT}")
    [now] = checked(client.commands([("TIME",)]))
    last = int(now[0]) // SLOT * SLOT
    length = -(-seconds // SLOT) * SLOT
    starts = range(last - length, last, SLOT)
    keys = [(q, client.key("stats:slot", q, str(start))) for q in queues for start in starts]
    found = dict.fromkeys(queues, Numbers())
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        replies = checked(client.commands([("HGETALL", name) for _, name in some]))
        for (queue, _), reply in zip(some, replies, strict=True):
            if reply:
                found[queue] += parse(reply)
    return {queue: Window(numbers, length) for queue, numbers in found.items()}


def read_totals(client: RedisClient, queues: Sequence[str]) -> dict[str, Numbers]:
    """Reads what workers have counted since they began; a day without a count ends that. A queue
    that Redis refuses to read is not in the result.

    Raises:
        ConfigurationError: a queue's name is not valid.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    names = [client.key("stats:slot", queue, "total") for queue in queues]
    replies = client.commands([("HGETALL", name) for name in names])
    return {
        queue: parse(reply)
        for queue, reply in zip(queues, replies, strict=True)
        if not isinstance(reply, ResponseError)
    }


def parse(reply: Mapping[bytes, bytes] | Sequence[bytes]) -> Numbers:
    """Reads a hash of numbers, as a dict or flat. Ignores what it does not know."""
    pairs: Any = (
        reply.items() if isinstance(reply, Mapping) else zip(*[iter(reply)] * 2, strict=True)
    )
    by_name: dict[str, dict[str, int]] = {}
    times: dict[str, dict[int, int]] = {"w": {}, "x": {}}
    sums = {"w": 0, "x": 0}
    for raw_field, raw_number in pairs:
        name, number = raw_field.decode(errors="replace"), _number(raw_number)
        kind, rest = name[:1], name[1:]
        if rest.startswith(":"):
            by_name.setdefault(rest[1:], {})[kind] = number
        elif kind in times and rest == "sum":
            sums[kind] = number
        elif kind in times and number and (bucket := _bucket(rest)) is not None:
            times[kind][bucket] = number
    tasks = {name: _ends(kinds) for name, kinds in by_name.items()}
    return Numbers(
        ends=tasks.pop("", Ends()),
        tasks=tasks,
        wait=TimeHistogram(times["w"], sums["w"]),
        run=TimeHistogram(times["x"], sums["x"]),
    )


def _bucket(text: str) -> int | None:
    number = whole(text)
    return number if number is not None and 0 <= number < BUCKETS else None


def _number(text: bytes) -> int:
    return max(whole(text) or 0, 0)


def _ends(kinds: Mapping[str, int]) -> Ends:
    return Ends(
        kinds.get("s", 0), kinds.get("r", 0), kinds.get("d", 0), kinds.get("t", 0) / 1_000_000
    )
