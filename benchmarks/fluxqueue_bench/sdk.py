"""An OpenTelemetry SDK that exports nothing, for what telemetry costs before the
export: BENCH_TELEMETRY is `none`, `unsampled`, `sampled` or `metrics`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

MODES = ("none", "unsampled", "sampled", "metrics")


def set_up() -> str:
    """Sets the providers of the mode, which it returns."""
    mode = os.environ.get("BENCH_TELEMETRY", "none")
    if mode == "none":
        return mode
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    # The SDK's default sampler: as the parent, and a root always.
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SpanProcessor())
    trace.set_tracer_provider(tracers)
    if mode == "metrics":
        metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False))
    return mode


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
