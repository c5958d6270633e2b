"""Moves the tasks of one lost consumer, batch by batch."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core import raise_deliveries
from fluxqueue_core.errors import MalformedMessage
from fluxqueue_core.service.log import get_logger

from .moves import Moves
from .options import Options

if TYPE_CHECKING:
    from .tracing import RescueTrace

# Messages and bytes that one call moves at most, because it blocks Redis. Only the first
# `bury` of a consumer can return more bytes: the size of its messages is not known yet.
BATCH = 100
MOST_BYTES = 262_144
# Messages that `reclaim` moves in one call at most.
RECLAIM_LIMIT = 100


class Rescue:
    """The rescue of a late consumer, or of a tombstone that still has tasks."""

    def __init__(
        self, queue: str, consumer: str, options: Options, trace: RescueTrace | None = None
    ) -> None:
        self.queue = queue
        self.consumer = consumer
        self._options = options
        self._home = 0
        self._dead = 0
        self._not_begun = 0
        self._batch = BATCH
        # Where the next `bury` goes on, and whether it has found a message since the start of
        # the hash.
        self._cursor = b"0"
        self._has_found = False
        self._trace = trace

    def step(self, client: RedisClient) -> bool:
        """Moves a batch; returns whether there may be more.

        Raises:
            ResponseError: Redis refused it, such as for a key of another type.
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if self._trace is not None:
            self._trace.began(client)
        # Rule 8: `bury` checks the grace again, since the sweep was a moment ago.
        gap = round(self._options.gap * 1_000)
        if self._cursor == b"0":
            self._has_found = False
        found = client.call(self._script("bury", self.consumer, gap, self._batch, self._cursor))
        self._cursor, *buried = found
        if buried:
            self._has_found = True
            # The newest first, so that a worker takes the oldest first.
            held = sorted(
                zip(buried[::2], buried[1::2], strict=True), key=lambda h: h[1], reverse=True
            )
            size = sum(len(message) for _, message in held)
            self._batch = max(min(MOST_BYTES * len(held) // max(size, 1), BATCH), 1)
            for start in range(0, len(held), self._batch):
                moves = Moves(client, self.queue, self.consumer)
                batch = held[start : start + self._batch]
                started = time_ns()
                for field, message in batch:
                    self._raise(moves, field, message)
                home, dead = client.call(moves.call())
                self._home += home
                self._dead += dead
                if self._trace is not None:
                    self._trace.moved([message for _, message in batch], home, dead, started)
            return True
        if self._has_found:
            return True  # the last pass, from the start of the hash, must find nothing
        age = round(self._options.tombstone_age * 1_000)
        returned = int(client.call(self._script("reclaim", self.consumer, age)))
        self._not_begun += max(returned, 0)  # -1: the consumer is alive after all
        return returned >= RECLAIM_LIMIT

    def report(self) -> None:
        """Logs one line if this scheduler has moved anything."""
        count = self._home + self._dead
        if count or self._not_begun:
            get_logger().warning(
                "consumer.rescued",
                queue=self.queue,
                consumer=self.consumer,
                count=count,
                dead=self._dead,
                not_begun=self._not_begun,
            )

    def _script(self, name: str, *arguments: str | bytes | int) -> ScriptCall:
        return ScriptCall(name, self.queue, arguments, consumer=self.consumer)

    def _raise(self, moves: Moves, field: bytes, message: bytes) -> None:
        """Adds a message to those that move.

        Rule 9: the count is raised here, and `move` stores it only if the old field is
        still there. Rule 12: `move` sends a message to the suspects after its second lost
        worker; after `max_deliveries` it is dead.
        """
        limit = self._options.max_deliveries
        try:
            _, raised, dead = raise_deliveries(message, limit)
        except MalformedMessage as error:
            moves.bury(field, message, "malformed", str(error))
            return
        if dead:
            moves.bury(
                field, raised, "worker_lost", f"workers lost while they held the task: {limit}"
            )
        else:
            moves.send_home(field, raised)
