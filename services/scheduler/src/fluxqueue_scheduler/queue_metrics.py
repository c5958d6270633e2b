"""How long the queues are: read from Redis when somebody exports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fluxqueue_core import key
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.metrics import CallbackOptions, Observation

from .queues import Queues
from .redis_client import UNAVAILABLE, RedisClient

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

# One export asks for each gauge in turn: they share what was read (seconds).
FRESH = 0.5

GAUGES = {
    s.QUEUE_DEPTH: "Tasks that wait for a worker.",
    s.QUEUE_SUSPECTS: "Tasks that have lost two workers and wait to run alone.",
    s.QUEUE_DELAYED: "Tasks that wait for their time, such as retries.",
    s.QUEUE_CLAIMED: "Tasks that workers hold.",
    s.QUEUE_DEAD: "Dead tasks that are kept.",
}


class QueueMetrics:
    """Gauges per queue. Every scheduler shows the same: take one of them, or the
    largest, not the sum."""

    def __init__(
        self, meter: Meter, client: RedisClient, queues: Queues, server: dict[str, Any]
    ) -> None:
        self._client = client
        self._queues = queues
        self._server = server
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._lengths: dict[str, dict[str, int]] = {}
        for name, description in GAUGES.items():
            meter.create_observable_gauge(name, [self._observer(name)], "{task}", description)

    def _observer(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(
                    lengths[name],
                    {s.SYSTEM: s.SYSTEM_FLUXQUEUE, s.DESTINATION_NAME: queue, **self._server},
                )
                for queue, lengths in self._current().items()
                if name in lengths
            ]

        return observe

    def _current(self) -> dict[str, dict[str, int]]:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                try:
                    self._lengths = self._read()
                except UNAVAILABLE:
                    self._lengths = {}  # no value rather than an old one
                self._read_at = time.monotonic()
            return self._lengths

    def _read(self) -> dict[str, dict[str, int]]:
        return {queue: self._of_queue(queue) for queue in self._queues.names}

    def _of_queue(self, queue: str) -> dict[str, int]:
        pending, suspects, delayed, dead, alive = self._client.commands(
            [
                ("LLEN", key("pending", queue)),
                ("LLEN", key("suspects", queue)),
                ("ZCARD", key("delayed", queue)),
                ("ZCARD", key("dead", queue)),
                # A tombstone's score is negative.
                ("ZRANGEBYSCORE", key("consumers", queue), 0, "+inf"),
            ]
        )
        lengths = {
            s.QUEUE_DEPTH: pending,
            s.QUEUE_SUSPECTS: suspects,
            s.QUEUE_DELAYED: delayed,
            s.QUEUE_DEAD: dead,
        }
        if isinstance(alive, list):
            ids = [consumer.decode(errors="replace") for consumer in alive]
            claimed = self._client.commands([("HLEN", key("claimed", queue, c)) for c in ids])
            lengths[s.QUEUE_CLAIMED] = sum(n for n in claimed if isinstance(n, int))
        # What Redis refused (a key of another type) is left out.
        return {name: value for name, value in lengths.items() if isinstance(value, int)}
