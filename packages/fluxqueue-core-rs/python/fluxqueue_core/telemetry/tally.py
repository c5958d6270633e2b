"""Counters that the SDK observes: adding to an SDK counter costs as much as the rest of a
task."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation

Attributes = Mapping[str, Any]


class Count:
    """One number of a `Tally`, which only grows."""

    __slots__ = ("_lock", "attributes", "value")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.value = 0
        self._lock = threading.Lock()

    def add(self, more: int = 1) -> None:
        """Adds to the number."""
        with self._lock:
            self.value += more


class Tally:
    """The numbers of one counter, each with its own attributes. `observe` is the
    counter's callback."""

    def __init__(self) -> None:
        self._counts: list[Count] = []

    def count(self, attributes: Attributes) -> Count:
        """Returns a number with these attributes, which no other has. Keep it."""
        count = Count(attributes)
        self._counts.append(count)
        return count

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """Returns the numbers that are not zero."""
        counts = list(self._counts)
        return [Observation(value, c.attributes) for c in counts if (value := c.value)]
