"""Reports of workers about themselves while a reader watches: their memory, and what runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from .read_numbers import is_count, whole
from .redis_client import RedisClient


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that runs.

    Attributes:
        task_id, name: of the task.
        seconds: for how long it had run when the worker reported.
    """

    task_id: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The last report of a worker about one queue, up to half a minute old.

    Attributes:
        memory: resident bytes of the process; None if its system does not say it.
        running: how many tasks of the queue run in it.
        tasks: the 20 oldest of these.
    """

    memory: int | None
    running: int
    tasks: Sequence[RunningTask]


def read(client: RedisClient, queue: str, consumers: Sequence[str]) -> dict[str, Report]:
    """Reads the reports of consumers. One that has none is not in the result: no reader watches
    (see `stats.watch`), or the worker has an older version.

    Raises:
        ConfigurationError: the queue's name is not valid.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    names = [client.key("report", queue, consumer) for consumer in consumers]
    replies = client.commands([("HMGET", name, "at", "report") for name in names])
    found: dict[str, Report] = {}
    for consumer, reply in zip(consumers, replies, strict=True):
        report = None if isinstance(reply, ResponseError) else _parse(*reply)
        if report is not None:
            found[consumer] = report
    return found


def _parse(at: bytes | None, text: bytes | None) -> Report | None:
    now = whole(at)
    if now is None or text is None:
        return None
    try:
        parts = json.loads(text)
        tasks = [
            RunningTask(str(task_id), str(name), max(now - begun, 0) / 1_000)
            for task_id, name, begun in parts["tasks"]
            if is_count(begun)
        ]
        memory, running = parts.get("memory"), parts["running"]
        if not is_count(running):
            return None
        return Report(memory if is_count(memory) else None, running, tasks)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
