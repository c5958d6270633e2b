"""Gauges for the lengths of the queues, read from Redis at each export."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.queues import Lengths, read_lengths
from fluxqueue_core.telemetry import semconv as s
from opentelemetry.metrics import CallbackOptions, Observation

from .shard import Reader

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

# One export asks for one gauge after the other: they share what was read (seconds).
FRESH = 0.5

# Name, the field of `Lengths`, description.
GAUGES = [
    (s.QUEUE_DEPTH, "pending", "Tasks that wait for a worker."),
    (s.QUEUE_SUSPECTS, "suspects", "Tasks that have lost two workers and wait to run alone."),
    (s.QUEUE_DELAYED, "delayed", "Tasks that wait for their time, such as retries."),
    (s.QUEUE_CLAIMED, "claimed", "Tasks that workers hold."),
    (s.QUEUE_DEAD, "dead", "Dead tasks that are kept."),
]


class QueueMetrics:
    """Gauges per queue. Every scheduler exports the same values: use one of them, or the
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
        self._lengths: dict[str, Lengths] = {}
        for name, field, description in GAUGES:
            meter.create_observable_gauge(name, [self._observer(field)], "{task}", description)

    def _observer(self, field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        length: Callable[[Lengths], int | None] = attrgetter(field)

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(
                    value,
                    {s.SYSTEM: s.SYSTEM_FLUXQUEUE, s.DESTINATION_NAME: queue, **self._server},
                )
                for queue, lengths in self._current().items()
                if (value := length(lengths)) is not None
            ]

        return observe

    def _current(self) -> dict[str, Lengths]:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                self._lengths = {}
                for reader in self._readers():
                    # Without a reply export no value, rather than an old one.
                    with reader.lock, contextlib.suppress(*UNAVAILABLE):
                        self._lengths |= read_lengths(reader.client, reader.queues.names)
                self._read_at = time.monotonic()
            return self._lengths
