"""A reader sees the same of histograms that count here as of the SDK's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from fluxqueue_core.telemetry import aggregations
from fluxqueue_core.telemetry.histograms import CountedSeries, Histograms, Series
from fluxqueue_core.telemetry.propagation import SPAN_KEY
from fluxqueue_core.telemetry.tally import Tally
from opentelemetry.context import Context
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, NoOpMeterProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Histogram,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import CollectorRegistry, generate_latest

OTHER_BOUNDS = ExplicitBucketHistogramAggregation((1,))
BOUNDS = (0.01, 0.1, 1)
VALUES = (0.5, 0.0, 0.01, 0.010001, 7.0, 1.0, 0.5, 0.03)
ATTRIBUTES = {"messaging.system": "fluxqueue", "server.port": 6379}
DELTA = {Histogram: AggregationTemporality.DELTA}


def span(number: int) -> SpanContext:
    """Every second one is sampled."""
    return SpanContext(number + 1, number + 1, False, TraceFlags(number % 2))


def measure(series: Series, values: Sequence[float]) -> None:
    for number, value in enumerate(values):
        context = span(number)
        around = Context({SPAN_KEY: NonRecordingSpan(context)})
        series.record(value, around, context if number % 2 else None)


class Meters:
    """A meter provider with our histograms."""

    def __init__(self, counted: bool, readers: Sequence[Any], **options: Any) -> None:
        self.provider = MeterProvider(readers, shutdown_on_exit=False, **options)
        meter = self.provider.get_meter("fluxqueue")
        self.histograms = Histograms(meter)
        self.histogram = self.histograms.create("wait", "Time.", BOUNDS)
        if not counted:
            self.histogram._bounds = None
        self.series = self.histogram.series(ATTRIBUTES)
        meter.create_observable_counter("tasks", [self.flush])

    def flush(self, options: CallbackOptions) -> tuple[()]:
        self.histograms.flush()
        return ()


def seen(reader: InMemoryMetricReader) -> list[Any]:
    """The points of the histogram, but for their times."""
    data = reader.get_metrics_data()
    if data is None:
        return []
    points: list[Any] = [
        point
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
    assert all(0 < p.start_time_unix_nano < p.time_unix_nano for p in points)
    return [
        (
            dict(p.attributes),
            p.count,
            pytest.approx(p.sum),
            (p.min, p.max),
            list(p.bucket_counts),
            tuple(p.explicit_bounds),
            [(e.value, e.span_id, e.trace_id, e.filtered_attributes) for e in p.exemplars],
        )
        for p in points
    ]


@pytest.mark.parametrize("temporality", [None, DELTA], ids=["cumulative", "delta"])
@pytest.mark.parametrize("exemplars", [TraceBasedExemplarFilter(), AlwaysOffExemplarFilter()])
def test_a_reader_sees_the_same(temporality: Any, exemplars: Any) -> None:
    found = []
    for counted in (True, False):
        readers = [InMemoryMetricReader(temporality), InMemoryMetricReader()]
        meters = Meters(counted, readers, exemplar_filter=exemplars)
        assert isinstance(meters.series, CountedSeries) is counted
        now = [[seen(reader) for reader in readers]]
        for values in (VALUES, VALUES[:3], (), VALUES[4:]):
            measure(meters.series, values)
            now.append([seen(reader) for reader in readers])
        found.append(now)
    assert found[0] == found[1]
    assert found[0][1][1][0][1] == len(VALUES)
    kept = found[0][1][1][0][-1]
    assert bool(kept) is isinstance(exemplars, TraceBasedExemplarFilter)


def test_the_series_begins_with_its_first_measurement() -> None:
    reader = InMemoryMetricReader()
    meters = Meters(True, [reader])
    assert seen(reader) == []
    measure(meters.series, VALUES[:1])
    (first,) = seen(reader)
    measure(meters.series, VALUES[:1])
    (second,) = seen(reader)
    assert (first[1], second[1]) == (1, 2)


def test_prometheus_text_is_the_same() -> None:
    texts = []
    for counted in (True, False):
        registry = CollectorRegistry()
        meters = Meters(counted, [PrometheusMetricReader(registry=registry)])
        measure(meters.series, VALUES)
        texts.append(generate_latest(registry).decode())
    assert texts[0] == texts[1]
    assert "wait_seconds_bucket" in texts[0]


@pytest.mark.parametrize(
    "options",
    [
        {"exemplar_filter": AlwaysOnExemplarFilter()},
        {"views": [View(instrument_name="wait", aggregation=OTHER_BOUNDS)]},
        {"views": [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())]},
        {"views": [View(instrument_name="wait", attribute_keys={"server.port"})]},
    ],
)
def test_the_sdk_counts_if_views_or_filters_need_it(options: dict[str, Any]) -> None:
    reader = InMemoryMetricReader()
    meters = Meters(True, [reader], **options)
    assert not isinstance(meters.series, CountedSeries)
    measure(meters.series, VALUES)
    data: Any = reader.get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.count == len(VALUES)


def test_the_sdk_counts_where_it_is_another_than_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    aggregations._is_faithful.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(aggregations, "add", lambda *arguments: None)
            assert not isinstance(Meters(True, [InMemoryMetricReader()]).series, CountedSeries)
        aggregations._is_faithful.cache_clear()
        assert isinstance(Meters(True, [InMemoryMetricReader()]).series, CountedSeries)
    finally:
        aggregations._is_faithful.cache_clear()


def test_a_foreign_meter_is_simply_called() -> None:
    histogram = Histograms(NoOpMeterProvider().get_meter("x")).create("wait", "Time.", BOUNDS)
    series = histogram.series(ATTRIBUTES)
    series.record(1.0, Context(), None)
    assert not isinstance(series, CountedSeries)


def test_a_tally_shows_what_is_not_zero() -> None:
    tally = Tally()
    one, _ = tally.count({"queue": "a"}), tally.count({"queue": "b"})
    one.add()
    one.add(2)
    assert [(o.value, o.attributes) for o in tally.observe(CallbackOptions())] == [
        (3, {"queue": "a"})
    ]
