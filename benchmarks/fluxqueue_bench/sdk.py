"""An OpenTelemetry SDK for what telemetry costs; BENCH_TELEMETRY names its kind, one of
`MODES`. Only `exported` sends anything anywhere: to the collector at BENCH_COLLECTOR. (With
OTEL_EXPORTER_OTLP_ENDPOINT a worker would have an SDK in each mode.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

# Each with the heading of its column.
MODES = {
    "none": "no SDK",
    "unsampled": "not sampled",
    "sampled": "sampled",
    "tracer": "sampled, spans by the SDK's tracer",
    "metrics": "sampled, with metrics",
    "exported": "with metrics, exported",
}
# More spans than a run makes: the SDK drops what its queue does not take, for nothing.
_QUEUE = 1 << 20


def set_up() -> str:
    """Sets the providers of the mode, which it returns."""
    mode = os.environ.get("BENCH_TELEMETRY", "none")
    if mode == "none":
        return mode
    from opentelemetry import metrics, trace

    trace.set_tracer_provider(_tracers(mode))
    if mode in ("metrics", "exported"):
        metrics.set_meter_provider(_meters(mode))
    return mode


def _tracers(mode: str) -> TracerProvider:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Onlooker(SpanProcessor):
        """Looks at spans as they begin, so FluxQueue leaves each span to the tracer."""

        def on_start(self, span: Any, parent_context: Any = None) -> None: ...

    # The SDK's default sampler: as the parent, and a root always.
    tracers = TracerProvider(shutdown_on_exit=False)
    if mode == "exported":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor: SpanProcessor = BatchSpanProcessor(
            OTLPSpanExporter(f"{os.environ['BENCH_COLLECTOR']}/v1/traces"), _QUEUE, 100
        )
    else:
        processor = Onlooker() if mode == "tracer" else SpanProcessor()
    tracers.add_span_processor(processor)
    return tracers


def _meters(mode: str) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

    if mode != "exported":
        return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return MeterProvider(
        [
            PeriodicExportingMetricReader(
                OTLPMetricExporter(f"{os.environ['BENCH_COLLECTOR']}/v1/metrics")
            )
        ],
        shutdown_on_exit=False,
    )


def flush() -> None:
    """Exports everything that waits."""
    if os.environ.get("BENCH_TELEMETRY") == "exported":
        from opentelemetry import metrics, trace

        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
            provider.force_flush()  # type: ignore[union-attr]


@contextmanager
def request(mode: str) -> Iterator[None]:
    """The span in which an application enqueues, sampled or not."""
    if mode == "none":
        yield
        return
    from opentelemetry import context, trace

    flags = trace.TraceFlags(0 if mode == "unsampled" else 1)
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC << 100, 0xDEF << 40, False, flags))
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)
