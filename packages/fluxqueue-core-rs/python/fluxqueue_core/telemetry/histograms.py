"""Histograms that count here and hand their buckets to the SDK at each export: 1 µs per
measurement instead of 10 µs for the SDK's `record`.

For each measurement the SDK cleans, sorts and hashes the attributes and finds the
series, with the same result every time. So a `Series` is one histogram with one set of
attributes and its own buckets. Its first measurement goes through the SDK, which begins
the series there; the others are added to it before a reader collects. If
`aggregations` finds an unexpected SDK, every measurement goes through the SDK.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from . import aggregations
from .aggregations import Buckets

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram as Recorder
    from opentelemetry.metrics import Meter

Attributes = Mapping[str, Any]


class Series:
    """The measurements of one histogram with one set of attributes."""

    def __init__(self, histogram: Recorder, attributes: Attributes) -> None:
        self._histogram = histogram
        self._attributes = attributes

    def record(self, value: float, context: Context, sampled: SpanContext | None) -> None:
        """Records one measurement, at least 0.

        Args:
            context: the context of the measurement.
            sampled: the context of its span, if that is sampled.
        """
        self._histogram.record(value, self._attributes, context)


class CountedSeries(Series):
    """A series that this module counts; see the module's text."""

    def __init__(
        self, histogram: Recorder, attributes: Attributes, bounds: Sequence[float]
    ) -> None:
        super().__init__(histogram, attributes)
        self._bounds = bounds
        self._keeps_exemplars = aggregations.exemplars_wanted(histogram)
        self._lock = threading.Lock()
        self._buckets: Buckets | None = None

    def record(self, value: float, context: Context, sampled: SpanContext | None) -> None:
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            buckets = self._buckets
            if buckets is not None:
                buckets.counts[bucket] += 1
                buckets.total += value
                if value < buckets.least:
                    buckets.least = value
                if value > buckets.most:
                    buckets.most = value
                if sampled is not None and self._keeps_exemplars:
                    buckets.exemplars[bucket] = (value, time_ns(), sampled)
                return
            self._buckets = self._empty()
        super().record(value, context, sampled)

    def flush(self) -> None:
        """Adds the counts so far to the SDK's series."""
        with self._lock:
            buckets = self._buckets
            if buckets is None or not any(buckets.counts):
                return
            self._buckets = self._empty()
        aggregations.add(self._histogram, self._attributes, buckets)

    def _empty(self) -> Buckets:
        return Buckets([0] * (len(self._bounds) + 1))


class Histograms:
    """The histograms of one meter. Call `flush` before each collection, in a callback of
    an observable instrument of that meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._counted: list[CountedSeries] = []

    def create(self, name: str, description: str, bounds: Sequence[float]) -> Histogram:
        """Makes a histogram of seconds."""
        histogram = self._meter.create_histogram(
            name,
            unit="s",
            description=description,
            explicit_bucket_boundaries_advisory=list(bounds),
        )
        counts = aggregations.takes_buckets(histogram, bounds)
        return Histogram(histogram, bounds if counts else None, self._counted)

    def flush(self) -> None:
        """Adds the counts of all series to those of the SDK."""
        for series in list(self._counted):
            series.flush()


class Histogram:
    """One histogram of `Histograms`."""

    def __init__(
        self, histogram: Recorder, bounds: Sequence[float] | None, counted: list[CountedSeries]
    ) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counted = counted

    def series(self, attributes: Attributes) -> Series:
        """Makes the series with these attributes. Keep it, and don't change them."""
        if self._bounds is None:
            return Series(self._histogram, attributes)
        series = CountedSeries(self._histogram, attributes, self._bounds)
        self._counted.append(series)
        return series
