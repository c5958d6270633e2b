"""Times that workers have counted in buckets, and percentiles of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

# The bucket 0 begins at 0 µs. From 4 µs on, four buckets double the time. The core
# (`consumer/measures.rs`) has the same rule.
_PER_DOUBLING = 4
# How many buckets the times of 64 bits need.
BUCKETS = 64 * _PER_DOUBLING


def lower_end(bucket: int) -> int:
    """Returns the lower end of a bucket, µs. The next one's is its upper end."""
    if bucket < _PER_DOUBLING:
        return bucket
    doublings, quarter = divmod(bucket, _PER_DOUBLING)
    return (_PER_DOUBLING + quarter) << (doublings - 1)


@dataclass(frozen=True, slots=True)
class TimeHistogram:
    """Times of many tasks, which can be added up over queues, servers and processes.

    Attributes:
        buckets: how many times fell into each bucket.
        total: the sum of the times, µs.
    """

    buckets: Mapping[int, int] = field(default_factory=dict)
    total: int = 0

    @property
    def count(self) -> int:
        """How many times there are."""
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """The mean, seconds; None if there are no times."""
        return self.total / 1e6 / self.count if self.buckets else None

    def percentile(self, percent: float) -> float | None:
        """Returns the time that this share of the tasks did not exceed, seconds; None if there are
        no times. It is too long by a quarter at most: the upper end of its bucket.

        Raises:
            ValueError: it is not above 0 and up to 100.
        """
        if not 0 < percent <= 100:
            raise ValueError(f"the percentile {percent} is not above 0 and up to 100")
        wanted = self.count * percent / 100
        seen = 0
        for bucket, count in sorted(self.buckets.items()):
            seen += count
            if seen >= wanted:
                return lower_end(bucket + 1) / 1e6
        return None

    def below(self, micros: int) -> int:
        """Returns how many times are in the buckets that end at `micros` or before."""
        return sum(n for bucket, n in self.buckets.items() if lower_end(bucket + 1) <= micros)

    def __add__(self, other: TimeHistogram) -> TimeHistogram:
        added = Counter(self.buckets)
        added.update(other.buckets)
        return TimeHistogram(dict(added), self.total + other.total)
