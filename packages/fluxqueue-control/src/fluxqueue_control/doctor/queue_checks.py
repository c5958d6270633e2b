"""The doctor's answers about queues: who serves them, and how much waits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fluxqueue_control.pausing import read_paused
from fluxqueue_control.queues import Lengths, read_lengths
from fluxqueue_control.read_numbers import whole
from fluxqueue_control.redis_client import RedisClient

from .diagnosis import Diagnosis, refused

# How many queues one round trip asks for.
_AT_ONCE = 100
# A scheduler looks at each queue twice a second. Seconds after which it seems to be gone.
_PATIENCE = 10.0
# With this number of tombstones in a day, workers connect too often.
_MANY_TOMBSTONES = 1_000


def examine_queues(client: RedisClient, queues: Sequence[str]) -> Iterator[Diagnosis]:
    """Yields what it finds about queues of the client's server.

    Raises:
        ConfigurationError: a queue's name is not valid.
        ResponseError: Redis refused it.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    versions: Counter[str] = Counter()
    for start in range(0, len(queues), _AT_ONCE):
        some = queues[start : start + _AT_ONCE]
        lengths, paused = read_lengths(client, some), read_paused(client, some)
        for queue, (swept, held, every, time) in _read(client, some).items():
            now = int(time[0]) + int(time[1]) / 1e6
            yield _scheduler(queue, swept, now)
            ids, late = _consumers(held, now)
            yield from _workers(queue, held, ids, late, lengths[queue])
            yield from _tombstones(queue, every, held)
            versions.update(_versions(client, queue, ids))
            if paused[queue]:
                text = "the queue is paused: workers take nothing"
                yield Diagnosis("paused", "notice", text, f"`fluxqueue resume {queue}`", queue)
            if lengths[queue].dead:
                text = f"{lengths[queue].dead} tasks are dead"
                yield Diagnosis("dead", "notice", text, f"`fluxqueue dead list -q {queue}`", queue)
    if len(versions) > 1:
        text = "workers have several versions: " + ", ".join(sorted(versions))
        yield Diagnosis("workers", "notice", text, "end the rollout, or replace the older ones")


def _read(client: RedisClient, queues: Sequence[str]) -> dict[str, list[Any]]:
    replies = client.commands(
        command
        for queue in queues
        for command in (
            ("HGET", client.key("sweep", queue), "last"),
            ("ZRANGEBYSCORE", client.key("consumers", queue), 0, "+inf", "WITHSCORES"),
            ("ZCARD", client.key("consumers", queue)),
            ("TIME",),
        )
    )
    return {queue: replies[4 * at : 4 * at + 4] for at, queue in enumerate(queues)}


def _scheduler(queue: str, swept: Any, now: float) -> Diagnosis:
    if (diagnosis := refused("scheduler", swept, "+hget", queue)) is not None:
        return diagnosis
    remedy = "start `fluxqueue scheduler`: without it no retry runs and no lost task is rescued"
    if swept is None:
        text = "no scheduler has ever looked at the queue"
        return Diagnosis("scheduler", "problem", text, remedy, queue)
    ago = now - (whole(swept) or 0) / 1_000
    text = f"a scheduler looked at the queue {max(ago, 0.0):.1f} s ago"
    if ago < _PATIENCE:
        return Diagnosis("scheduler", "ok", text, None, queue)
    return Diagnosis("scheduler", "problem", text, remedy, queue)


def _consumers(held: Any, now: float) -> tuple[list[bytes], int]:
    """The ids of the consumers that are not tombstones, and how many of them are late."""
    if not isinstance(held, list):
        return [], 0
    scores = [float(score) / 1_000 for score in held[1::2]]
    return held[::2], sum(score <= now for score in scores)


def _workers(
    queue: str, held: Any, ids: Sequence[bytes], late: int, lengths: Lengths
) -> Iterator[Diagnosis]:
    if (diagnosis := refused("workers", held, "+zrangebyscore", queue)) is not None:
        yield diagnosis
        return
    alive = len(ids) - late
    waiting = sum(number or 0 for number in (lengths.pending, lengths.suspects, lengths.delayed))
    if late:
        text = f"the leases of {late} workers have ended, and no scheduler has rescued their tasks"
        yield Diagnosis("leases", "warning", text, "start `fluxqueue scheduler`", queue)
    if alive:
        yield Diagnosis("workers", "ok", f"{alive} workers serve the queue", None, queue)
    elif waiting:
        text = f"no worker serves the queue, in which {waiting} tasks wait"
        yield Diagnosis("workers", "problem", text, f"`fluxqueue start -q {queue} MODULE`", queue)
    else:
        yield Diagnosis("workers", "notice", "no worker serves the queue", None, queue)


def _tombstones(queue: str, every: Any, held: Any) -> Iterator[Diagnosis]:
    if not isinstance(every, int) or not isinstance(held, list):
        return
    count = every - len(held) // 2
    text = f"{count} conversations of workers have ended within a day"
    if count < _MANY_TOMBSTONES:
        yield Diagnosis("tombstones", "ok", text, None, queue)
    else:
        remedy = "look for worker.disconnected in the logs of workers: they connect too often"
        yield Diagnosis("tombstones", "warning", text, remedy, queue)


def _versions(client: RedisClient, queue: str, ids: Sequence[bytes]) -> Iterator[str]:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        [texts] = client.commands([("HMGET", client.key("workers", queue), *some)])
        for text in texts if isinstance(texts, list) else ():
            try:
                yield str(json.loads(text or b"{}")["version"])
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
