"""Stops periodic tasks whose code is gone: no living worker has declared them for a while.

While a queue has no worker, its periodic tasks stay: a worker that comes back declares them
again.

Why: docs/decisions/0143-the-newest-declaration-wins.md
"""

from __future__ import annotations

from time import monotonic

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .options import Options
from .periodic_tasks import PeriodicTask, TasksByMoment, as_sent

# The time between two looks, as a part of the grace: 10 s for the grace of 300 s.
LOOKS = 30
# A worker that replaces the declaration of another does so within the grace and one of its
# intervals. Only later is the task stopped.
MARGIN = 1.2


class Stops:
    """Watches the tasks of one queue that code declares."""

    def __init__(self, queue: str, tasks: TasksByMoment) -> None:
        self._queue = queue
        self._tasks = tasks
        self._next = 0.0
        # Since when each look has found a living worker, by the clock of this process.
        self._served_since: float | None = None

    def step(self, client: RedisClient, options: Options) -> None:
        """Looks, if that is due.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        now = monotonic()
        if now < self._next:
            return
        pause = options.periodic_grace / LOOKS
        is_late = now - self._next > options.periodic_grace / 3
        self._next = now + pause
        self._tasks.retry()
        declared = [e for e in self._tasks.items() if e.record is not None and e.record.declared]
        if not declared:
            return
        if is_late:
            self._served_since = None
        clock = client.command("TIME")
        redis_time = int(clock[0]) * 1_000
        if not self._is_served(client, redis_time):
            self._served_since = None
            return
        if self._served_since is None:
            self._served_since = now
        grace = options.periodic_grace * MARGIN
        if now - self._served_since >= grace:
            self._stop(client, declared, redis_time - grace * 1_000)

    def _is_served(self, client: RedisClient, now: int) -> bool:
        """Whether the queue has a consumer whose lease has not ended."""
        words = ("ZRANGEBYSCORE", client.key("consumers", self._queue), now, "+inf")
        return bool(client.command(*words, "LIMIT", 0, 1))

    def _stop(self, client: RedisClient, declared: list[PeriodicTask], limit: float) -> None:
        """Stops the tasks that no worker has declared since that time of Redis, in ms."""
        names = []
        for task in declared:
            assert task.record is not None
            names.append(f"{task.id}\0{task.record.digest}")
        key = client.key("periodic:seen", self._queue)
        scores = client.commands([("ZSCORE", key, name) for name in names])
        for task, score in zip(declared, scores, strict=True):
            if isinstance(score, ResponseError) or (score is not None and float(score) >= limit):
                continue
            assert task.record is not None
            words = ("stop", task.id, task.record.digest, as_sent(score) or "")
            [word] = client.call(ScriptCall("schedule", self._queue, words))
            if word == b"removed":
                get_logger().warning(
                    "periodic.stopped",
                    queue=self._queue,
                    periodic=task.id,
                    reason="no worker of this queue declares it any longer",
                )
