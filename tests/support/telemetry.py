"""An OpenTelemetry SDK in memory, and what a test asks it.

The providers are the process's own while a test has them: the code under test
finds them as it finds those of an application.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)


class WatchfulSampler(Sampler):
    """Decides as the sampler it is given, and keeps what it was shown: what a
    span had when it was created."""

    def __init__(self, inner: Sampler) -> None:
        self.inner = inner
        self.shown: list[tuple[str, Any, dict[str, Any]]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.shown.append((name, kind, dict(attributes or {})))
        return self.inner.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return "watchful"


class Recorded:
    """See the module's text.

    Attributes:
        sampler: what was known of spans at their creation.
    """

    def __init__(self, ratio: float = 1.0, with_metrics: bool = True, watch: bool = True) -> None:
        self._spans = InMemorySpanExporter()
        self._logs: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self._reader = InMemoryMetricReader()
        inner: Sampler = ParentBased(TraceIdRatioBased(ratio))
        self.sampler = WatchfulSampler(inner)
        self.tracers = TracerProvider(
            sampler=self.sampler if watch else inner, shutdown_on_exit=False
        )
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._with_metrics = with_metrics

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes the providers the process's, until the test ends."""
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", self.tracers)
        monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", self.loggers)
        if self._with_metrics:
            monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", self.meters)

    @property
    def tracer(self) -> trace.Tracer:
        """An application's own."""
        return self.tracers.get_tracer("application")

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        ended: Sequence[ReadableSpan] = self._spans.get_finished_spans()
        return [span for span in ended if name is None or span.name == name]

    def span(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        (found,) = self.spans(name)
        return found

    def shown(self, name: str) -> dict[str, Any]:
        """The attributes that a span of this name had at its creation; at its end
        where the sampler was not asked."""
        if not self.sampler.shown:
            return dict(self.spans(name)[0].attributes or {})
        return next(attributes for seen, _, attributes in self.sampler.shown if seen == name)

    def logs(self) -> list[ReadableLogRecord]:
        """The log records."""
        return list(self._logs.get_finished_logs())

    def metrics(self) -> list[Any]:
        """The metrics, collected now."""
        data = self._reader.get_metrics_data()
        return [
            metric
            for resource in (() if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def points(self, name: str) -> list[Any]:
        """The data points of a metric, collected now."""
        return [
            p for metric in self.metrics() if metric.name == name for p in metric.data.data_points
        ]


def id_of(span: ReadableSpan) -> int:
    """The span's id."""
    assert span.context is not None
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    """The id of the span's trace."""
    assert span.context is not None
    return int(span.context.trace_id)


def parent_of(span: ReadableSpan) -> int | None:
    """The id of the span's parent."""
    return None if span.parent is None else span.parent.span_id


def links_of(span: ReadableSpan) -> list[int]:
    """The ids of the spans that it links to."""
    return [link.context.span_id for link in span.links]
