"""The SDK's internals that adding measurements to a histogram by the bucket needs.

These parts of the SDK are not meant for its users. So `takes_buckets` checks that they
work as expected: it counts the same measurements in both ways in an SDK in memory, and
compares the results of a reader.

Why: docs/decisions/0021-spans-and-histograms-past-the-sdk.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import inf
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from .propagation import SPAN_KEY

Attributes = Mapping[str, Any]


@dataclass(slots=True)
class Buckets:
    """The measurements of a histogram, counted by bucket.

    Attributes:
        counts: one for each bound, and one for values above the last.
        exemplars: for each bucket (value, ns since 1970, the sampled span).
    """

    counts: list[int]
    total: float = 0.0
    least: float = inf
    most: float = -inf
    exemplars: dict[int, tuple[float, int, SpanContext]] = field(default_factory=dict)


def exemplars_wanted(histogram: Any) -> bool | None:
    """Whether the SDK keeps measurements in sampled traces as examples. None: it decides
    in another way, for example separately for each measurement."""
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, TraceBasedExemplarFilter

    kind = type(histogram._measurement_consumer._sdk_config.exemplar_filter)
    return {TraceBasedExemplarFilter: True, AlwaysOffExemplarFilter: False}.get(kind)


def takes_buckets(histogram: Any, bounds: Sequence[float]) -> bool:
    """Whether `add` works with this histogram: it is the SDK's, and every reader
    has it with these bounds and all its attributes."""
    try:
        if exemplars_wanted(histogram) is None or not _is_faithful():
            return False
        return _fits(histogram, tuple(bounds))
    except (ImportError, AttributeError, TypeError):
        return False


def _fits(histogram: Any, bounds: tuple[float, ...]) -> bool:
    from opentelemetry.sdk.metrics import AlignedHistogramBucketExemplarReservoir
    from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation

    return histogram._is_enabled() and all(
        type(match._aggregation) is _ExplicitBucketHistogramAggregation
        and match._aggregation._boundaries == bounds
        and type(match._aggregation._reservoir) is AlignedHistogramBucketExemplarReservoir
        and match._view._attribute_keys is None
        for match in _matches(histogram)
    )


def _matches(histogram: Any) -> list[Any]:
    storages = histogram._measurement_consumer._reader_storages.values()
    return [m for s in storages for m in s._get_or_init_view_instrument_match(histogram)]


def add(histogram: Any, attributes: Attributes, buckets: Buckets) -> None:
    """Adds what was measured to the histogram's series with these attributes."""
    from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

    key = _hash_attributes(attributes)
    for match in _matches(histogram):
        # Held to the end: a reader of differences throws the series away.
        with match._lock:
            series = match._get_or_create_aggregation(key, dict(attributes))
            with series._lock:
                counted = series._value or series._get_empty_bucket_counts()
                series._value = [a + b for a, b in zip(counted, buckets.counts, strict=True)]
                series._sum += buckets.total
                if series._record_min_max:
                    series._min = min(series._min, buckets.least)
                    series._max = max(series._max, buckets.most)
            for value, time, span in buckets.exemplars.values():
                context = Context({SPAN_KEY: NonRecordingSpan(span)})
                series._reservoir.offer(value, time, attributes, context)


def _try_out() -> bool:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.resources import Resource

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource.get_empty(), shutdown_on_exit=False)
    meter = provider.get_meter("fluxqueue")
    one, other = (
        meter.create_histogram(name, explicit_bucket_boundaries_advisory=[1.0, 2.0])
        for name in ("one", "other")
    )
    attributes = {"a": "b"}
    for value in (0.5, 1.0, 3.0):
        one.record(value, attributes)
    other.record(0.5, attributes)
    add(other, attributes, Buckets([1, 0, 1], 4.0, 1.0, 3.0))
    data = reader.get_metrics_data()
    provider.shutdown()
    seen = []
    for metric in data.resource_metrics[0].scope_metrics[0].metrics if data is not None else ():
        (point,) = metric.data.data_points
        p: Any = point
        seen.append((p.count, p.sum, p.min, p.max, list(p.bucket_counts), dict(p.attributes)))
    return len(seen) == 2 and seen[0] == seen[1] and seen[0][0] == 3


# Tried once per process.
_is_faithful = cache(_try_out)
