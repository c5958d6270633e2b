"""Which workers serve a queue, and whether their leases hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import reports
from .errors import checked
from .read_numbers import is_count
from .redis_client import RedisClient
from .scanning import all_pages, each_once

# How many consumers a page has, about: Redis returns a small set whole.
_COUNT = 100

LeaseState = Literal["alive", "late", "tombstone"]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's conversation with Redis about one queue.

    Attributes:
        consumer: the conversation's id. A worker has another one for each queue, and a
            new one after each reconnect.
        state: `alive`; `late` if the lease has ended but no scheduler has rescued the
            tasks yet; `tombstone` if the conversation has ended.
        lease_left: seconds until the lease ends, by the clock of Redis. If negative, the
            lease ended that long ago; for a tombstone, the conversation did.
        claimed: how many tasks it holds.
        identity: how the worker describes its process: `host`, `pid`, `version`, `slots`,
            `queues` and `suspects`, without parts that have another type. Empty for a tombstone,
            for a worker of an older version, and if the text in Redis is not a JSON object.
        report: its memory, and what runs; None unless a reader watches the queue (`stats.watch`).
    """

    consumer: str
    state: LeaseState
    lease_left: float
    claimed: int
    identity: Mapping[str, Any]
    report: reports.Report | None = None


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """Some workers of a queue, in no order.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    workers: Sequence[Worker]
    cursor: int | None


def read_page(
    client: RedisClient, queue: str, cursor: int | None = None, *, tombstones: bool = False
) -> WorkerPage:
    """Reads a page of about 100 workers, which may be empty even if more follow.

    A worker that serves the queue during all of the calls is on at least one page. It can
    be on two: `scan` returns it once.

    Args:
        cursor: the previous page's; None for the first page.
        tombstones: whether to return the conversations that ended within the last day too.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    found, time = checked(
        client.commands(
            [("ZSCAN", client.key("consumers", queue), cursor or 0, "COUNT", _COUNT), ("TIME",)]
        )
    )
    following, scores = found
    now = int(time[0]) + int(time[1]) / 1e6
    wanted = [(consumer, score) for consumer, score in scores if tombstones or score >= 0]
    return WorkerPage(_read_workers(client, queue, wanted, now), following or None)


def scan(client: RedisClient, queue: str, *, tombstones: bool = False) -> Iterator[Worker]:
    """Reads all workers, page by page, and yields each of them once. Raises as `read_page`
    does."""
    pages = all_pages(lambda cursor: read_page(client, queue, cursor, tombstones=tombstones))
    return each_once((page.workers for page in pages), lambda worker: worker.consumer)


def show(client: RedisClient, queue: str, consumer: str) -> Worker | None:
    """Reads one worker by its consumer id; None if the queue does not know it. Raises as
    `read_page` does."""
    score, time = checked(
        client.commands([("ZSCORE", client.key("consumers", queue), consumer), ("TIME",)])
    )
    if score is None:
        return None
    now = int(time[0]) + int(time[1]) / 1e6
    [worker] = _read_workers(client, queue, [(consumer.encode(), float(score))], now)
    return worker


def _read_workers(
    client: RedisClient, queue: str, rows: Sequence[tuple[bytes, float]], now: float
) -> list[Worker]:
    if not rows:
        return []
    names = [consumer.decode(errors="replace") for consumer, _ in rows]
    identities, *claimed = checked(
        client.commands(
            [
                ("HMGET", client.key("workers", queue), *(consumer for consumer, _ in rows)),
                *(("HLEN", client.key("claimed", queue, name)) for name in names),
            ]
        )
    )
    told = reports.read(client, queue, names)
    return [
        Worker(
            consumer=name,
            state=_state(score, now),
            lease_left=abs(score) / 1_000 - now,
            claimed=count,
            identity=_parse(identity),
            report=told.get(name),
        )
        for name, (_, score), count, identity in zip(names, rows, claimed, identities, strict=True)
    ]


def _state(score: float, now: float) -> LeaseState:
    if score < 0:
        return "tombstone"
    return "alive" if score / 1_000 > now else "late"


def _parse(identity: bytes | None) -> Mapping[str, Any]:
    try:
        found = json.loads(identity or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if _fits(name, value)}


def _fits(name: str, value: object) -> bool:
    """Whether a worker can have written this part of its identity."""
    if name in ("pid", "slots"):
        return is_count(value)
    if name in ("host", "version"):
        return isinstance(value, str)
    if name == "queues":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return True
