"""Rescues the tasks of consumers whose lease has ended.

The sweep has a timer of its own beside the moving: both are done by one thread,
which moves one batch at a time and looks at the clock after each. A sweep that
came later than its gap would make every consumer safe for another lease.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from fluxqueue_core import dead_reason, key, raise_deliveries
from fluxqueue_core.errors import MalformedMessage
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .options import Options
from .outages import Complaints
from .queues import Queues
from .redis_client import UNAVAILABLE, RedisClient, Reply, ScriptCall

# Messages moved in one call: they may be large.
BATCH = 100
# What `reclaim` moves at most in one call.
RECLAIM_LIMIT = 100
# Late consumers that one sweep returns, and queues that one pipeline sweeps.
LATE_LIMIT = 1_000
QUEUES_AT_ONCE = 100
# Tombstones whose keys one EXISTS looks at.
TOMBSTONES_AT_ONCE = 250
# Tombstones of a queue that may be forgotten in one go, and how often (seconds).
FORGET_LIMIT = 100
FORGET_INTERVAL = 60.0


@dataclass(slots=True)
class Rescue:
    """A consumer whose tasks are being moved, and what came of them."""

    queue: str
    consumer: str
    rescued: int = 0
    dead: int = 0
    returned: int = 0


class Rescuer:
    """Sweeps every queue in time, and moves one batch between two sweeps."""

    def __init__(
        self, client: RedisClient, queues: Queues, options: Options, complaints: Complaints
    ) -> None:
        self._client = client
        self._queues = queues
        self._options = options
        self._complaints = complaints
        self._work: deque[Rescue] = deque()
        self._known: set[tuple[str, str]] = set()
        self._next_sweep = 0.0
        self._swept: dict[str, float] = {}
        self._next_forgetting = time.monotonic() + FORGET_INTERVAL

    def step(self) -> float:
        """A sweep where one is due, else one batch; returns the seconds to pause.

        Raises:
            UNAVAILABLE: Redis is away.
        """
        now = time.monotonic()
        try:
            if now >= self._next_sweep:
                self._sweep()
                self._next_sweep = now + self._options.sweep_interval
            elif self._work:
                self._move_one_batch()
        except UNAVAILABLE:
            # Late because Redis was away: that is said elsewhere.
            self._swept.clear()
            raise
        if self._work:
            return 0.0
        return max(self._next_sweep - time.monotonic(), 0.0)

    def _sweep(self) -> None:
        names = self._queues.names
        forgetting = time.monotonic() >= self._next_forgetting
        for start in range(0, len(names), QUEUES_AT_ONCE):
            some = names[start : start + QUEUES_AT_ONCE]
            arguments = _ms(self._options.gap), _ms(self._options.lease), LATE_LIMIT
            replies = self._client.calls([ScriptCall("sweep", q, arguments) for q in some])
            now = time.monotonic()
            for queue, reply in zip(some, replies, strict=True):
                if isinstance(reply, ResponseError):
                    self._complaints.about_queue(queue, "sweep", reply)
                    continue
                self._check_punctuality(queue, now)
                self._look_at(queue, reply, forgetting)
        if forgetting:
            self._next_forgetting = time.monotonic() + FORGET_INTERVAL

    def _check_punctuality(self, queue: str, now: float) -> None:
        last = self._swept.get(queue)
        self._swept[queue] = now
        if last is not None and now - last > self._options.gap:
            self._complaints.about(
                "sweep.late",
                queue,
                queue=queue,
                seconds=round(now - last, 3),
                gap=self._options.gap,
                error="a sweep slower than its gap rescues nobody: give the scheduler more CPU, "
                "or look for slow commands in Redis",
            )

    def _look_at(self, queue: str, reply: Reply, forgetting: bool) -> None:
        _, _, late, tombstones = reply
        ended = self._ids(queue, tombstones)
        for consumer in self._ids(queue, late):
            self._add(queue, consumer)
        try:
            for start in range(0, len(ended), TOMBSTONES_AT_ONCE):
                for consumer in self._with_keys(queue, ended[start : start + TOMBSTONES_AT_ONCE]):
                    self._add(queue, consumer)
            if forgetting:
                # The set is in the order of the score: the oldest come last.
                self._forget(queue, ended[-FORGET_LIMIT:])
        except ResponseError as error:
            self._complaints.about_queue(queue, "sweep", error)

    def _ids(self, queue: str, members: list[bytes]) -> list[str]:
        ids = []
        for member in members:
            try:
                ids.append(member.decode())
            except UnicodeDecodeError as error:
                self._complaints.about_queue(queue, "read the consumers", error)
        return ids

    def _add(self, queue: str, consumer: str) -> None:
        if (queue, consumer) not in self._known:
            self._known.add((queue, consumer))
            self._work.append(Rescue(queue, consumer))

    def _with_keys(self, queue: str, consumers: list[str]) -> list[str]:
        """Those that have left something behind."""
        keys = [
            (key("claimed", queue, consumer), key("inbox", queue, consumer))
            for consumer in consumers
        ]
        if not self._client.command("EXISTS", *(k for pair in keys for k in pair)):
            return []
        found = self._client.commands([("EXISTS", *pair) for pair in keys])
        return [consumer for consumer, n in zip(consumers, found, strict=True) if n]

    def _forget(self, queue: str, consumers: list[str]) -> None:
        age = _ms(self._options.tombstone_age)
        replies = self._client.calls(
            [ScriptCall("reclaim", queue, (c, age), consumer=c) for c in consumers]
        )
        for reply in replies:
            if isinstance(reply, ResponseError):
                self._complaints.about_queue(queue, "reclaim", reply)

    def _move_one_batch(self) -> None:
        rescue = self._work[0]
        try:
            done = not self._rescue_some(rescue)
        except ResponseError as error:
            self._complaints.about_queue(rescue.queue, "rescue", error)
            done = True
        if done:
            self._work.popleft()
            self._known.discard((rescue.queue, rescue.consumer))
            self._report(rescue)

    def _rescue_some(self, rescue: Rescue) -> bool:
        """True where there may be more."""
        queue, consumer = rescue.queue, rescue.consumer
        gap = _ms(self._options.gap)
        buried = self._client.call(
            ScriptCall("bury", queue, (consumer, gap, BATCH), consumer=consumer)
        )
        if buried:
            # The newest first: so the oldest is the next to be taken.
            held = sorted(
                zip(buried[::2], buried[1::2], strict=True), key=lambda h: h[1], reverse=True
            )
            for start in range(0, len(held), BATCH):
                arguments: list[bytes] = []
                for field, message in held[start : start + BATCH]:
                    arguments += self._raised(field, message)
                sent, dead = self._client.call(
                    ScriptCall("move", queue, arguments, consumer=consumer)
                )
                rescue.rescued += sent
                rescue.dead += dead
            return True
        age = _ms(self._options.tombstone_age)
        returned = int(
            self._client.call(ScriptCall("reclaim", queue, (consumer, age), consumer=consumer))
        )
        rescue.returned += max(returned, 0)
        return returned >= RECLAIM_LIMIT

    def _raised(self, field: bytes, message: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        """The four values of `move` for a message."""
        limit = self._options.max_deliveries
        try:
            _, raised, dead = raise_deliveries(message, limit)
        except MalformedMessage as error:
            return field, b"dead", message, dead_reason("malformed", str(error))
        if not dead:
            return field, b"home", raised, b""
        lost = f"workers lost while they held the task: {limit}"
        return field, b"dead", raised, dead_reason("worker_lost", lost)

    def _report(self, rescue: Rescue) -> None:
        count = rescue.rescued + rescue.dead
        if count or rescue.returned:
            get_logger().warning(
                "consumer.rescued",
                queue=rescue.queue,
                consumer=rescue.consumer,
                count=count,
                dead=rescue.dead,
                not_begun=rescue.returned,
            )


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
