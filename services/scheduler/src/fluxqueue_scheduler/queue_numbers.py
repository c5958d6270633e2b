"""The numbers of the queues of one server, for the exporter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control import ages, stats
from fluxqueue_control.queues import Lengths, read_lengths
from fluxqueue_control.redis_client import RedisClient
from redis.exceptions import ResponseError

# The counters of the hash `stats` that are exported as ends.
ENDS = ("succeeded", "retried", "dead", "expired", "cancelled", "rescued", "requeued")
_COUNTERS = (*ENDS, "in_line")
_QUEUES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """The numbers of one queue. None: Redis can't say it, because a key has another type.

    Attributes:
        oldest: how long the oldest waiting task has waited, seconds; None if none waits.
        ends: the counters of `ENDS`, since the queue exists.
        in_line: tasks that wait for their limit.
        leases_lost: how many workers have lost their lease.
        workers: how many serve the queue.
        lag: how late the scheduler is with the next delayed or periodic task, seconds.
        counted: the counts of workers while the queue is watched.
    """

    lengths: Lengths
    oldest: float | None
    ends: dict[str, int]
    in_line: int
    leases_lost: int
    workers: int | None
    is_paused: bool
    lag: float
    counted: stats.Numbers


def read(client: RedisClient, queues: Sequence[str]) -> dict[str, QueueNumbers]:
    """Reads the numbers of these queues, all on the client's server.

    Raises:
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    found: dict[str, QueueNumbers] = {}
    for start in range(0, len(queues), _QUEUES_AT_ONCE):
        found |= _read(client, queues[start : start + _QUEUES_AT_ONCE])
    return found


def _read(client: RedisClient, queues: Sequence[str]) -> dict[str, QueueNumbers]:
    lengths = read_lengths(client, queues)
    oldest = ages.read_oldest(client, queues)
    totals = stats.read_totals(client, queues)
    [time, *replies] = client.commands(
        [
            ("TIME",),
            *(
                command
                for queue in queues
                for command in (
                    ("HMGET", client.key("stats", queue), *_COUNTERS),
                    ("HGET", client.key("sweep", queue), "lost"),
                    ("HLEN", client.key("workers", queue)),
                    ("EXISTS", client.key("paused", queue)),
                    ("ZRANGE", client.key("delayed", queue), 0, 0, "WITHSCORES"),
                    ("ZRANGE", client.key("periodic:due", queue), 0, 0, "WITHSCORES"),
                )
            ),
        ]
    )
    if isinstance(time, ResponseError):
        raise time
    now = int(time[0]) * 1_000 + int(time[1]) // 1_000
    rows = zip(*[iter(replies)] * 6, strict=True)
    found = {}
    for queue, (counters, lost, workers, paused, delayed, periodic) in zip(
        queues, rows, strict=True
    ):
        counts = dict(zip(_COUNTERS, _counts(counters), strict=True))
        in_line = counts.pop("in_line")
        due = [score for head in (delayed, periodic) for score in _scores(head)]
        found[queue] = QueueNumbers(
            lengths=lengths[queue],
            oldest=oldest[queue],
            ends=counts,
            in_line=in_line,
            leases_lost=_count(lost),
            workers=workers if isinstance(workers, int) else None,
            is_paused=paused == 1,
            lag=max((now - min(due)) / 1_000, 0.0) if due else 0.0,
            counted=totals.get(queue, stats.Numbers()),
        )
    return found


def _counts(reply: Any) -> list[int]:
    if isinstance(reply, ResponseError):
        return [0] * len(_COUNTERS)
    return [_count(value) for value in reply]


def _count(value: Any) -> int:
    return int(value) if isinstance(value, bytes) and value.isdigit() else 0


def _scores(reply: Any) -> list[float]:
    return [] if isinstance(reply, ResponseError) else [float(score) for score in reply[1::2]]
