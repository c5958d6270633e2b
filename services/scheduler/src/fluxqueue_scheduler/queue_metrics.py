"""How long the queues are: read from Redis when somebody exports."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fluxqueue_core import key
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.metrics import CallbackOptions, Observation

from .redis_client import UNAVAILABLE, RedisClient
from .shard import Reader

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
        self,
        meter: Meter,
        readers: Callable[[], Iterable[Reader]],
        server: dict[str, Any],
    ) -> None:
        self._readers = readers
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
                self._lengths = {}
                for reader in self._readers():
                    # No value rather than an old one.
                    with contextlib.suppress(*UNAVAILABLE):
                        self._lengths |= _of_server(reader)
                self._read_at = time.monotonic()
            return self._lengths


def _of_server(reader: Reader) -> dict[str, dict[str, int]]:
    return {queue: _of_queue(reader.client, queue) for queue in reader.queues.names}


def _of_queue(client: RedisClient, queue: str) -> dict[str, int]:
    pending, suspects, delayed, dead, alive = client.commands(
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
        claimed = client.commands([("HLEN", key("claimed", queue, c)) for c in ids])
        lengths[s.QUEUE_CLAIMED] = sum(n for n in claimed if isinstance(n, int))
    # What Redis refused (a key of another type) is left out.
    return {name: value for name, value in lengths.items() if isinstance(value, int)}
