"""The scheduler's settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """All durations are in seconds.

    Attributes:
        lease: how long a worker may be silent; equal to the workers' own.
        max_deliveries: a task that has lost so many workers is dead.
        dead_max_count: how many dead tasks a queue keeps.
        dead_max_age: how long a dead task is kept.
        trim_interval: time between two trims of the dead sets.
        net_delay: time from the start to the first search of the whole database.
        net_interval: time between two such searches.
        tombstone_age: how long the id of an ended consumer is remembered.
    """

    lease: float = 10.0
    max_deliveries: int = 3
    dead_max_count: int = 100_000
    dead_max_age: float = 90 * 86_400.0
    trim_interval: float = 60.0
    net_delay: float = 10.0
    net_interval: float = 3_600.0
    tombstone_age: float = 86_400.0

    @property
    def gap(self) -> float:
        """The longest time between two sweeps that counts as continuous."""
        return self.lease / 4

    @property
    def sweep_interval(self) -> float:
        """Well below the gap, so that one slow sweep does no harm."""
        return min(0.5, self.gap / 5)
