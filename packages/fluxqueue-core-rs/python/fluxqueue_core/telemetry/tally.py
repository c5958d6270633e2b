"""Counters that are observed: an addition to one of the SDK's own costs as much
as the rest of a task."""

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
        """So many more."""
        with self._lock:
            self.value += more


class Tally:
    """The numbers of one counter, each with attributes of its own. `observe` is
    the counter's callback."""

    def __init__(self) -> None:
        self._counts: list[Count] = []

    def count(self, attributes: Attributes) -> Count:
        """A number with these attributes, which no other has. To be kept."""
        count = Count(attributes)
        self._counts.append(count)
        return count

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """Those that are not zero."""
        counts = list(self._counts)
        return [Observation(value, c.attributes) for c in counts if (value := c.value)]
