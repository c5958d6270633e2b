"""The trace that a request belongs to, if OpenTelemetry is installed."""

from __future__ import annotations

import os

from fastapi import FastAPI


def instrument(app: FastAPI) -> None:
    """Makes a span of every request, but not of every message on the wire."""
    try:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    except ImportError:
        return
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])


def current_trace_id() -> str:
    """Returns 32 hex digits, or nothing if no span is recorded."""
    try:
        from opentelemetry import trace
    except ImportError:
        return ""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def trace_url(trace_id: str) -> str:
    """Returns the trace's page in the viewer of `SHOP_TRACE_URL`, or nothing."""
    base = os.environ.get("SHOP_TRACE_URL", "")
    return f"{base.rstrip('/')}/{trace_id}" if base and trace_id else ""
