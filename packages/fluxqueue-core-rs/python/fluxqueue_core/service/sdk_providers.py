"""Makes the SDK's providers from the standard variables; see `sdk`."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from fluxqueue_core.errors import ConfigurationError

from .export_results import ExportResults
from .sdk_environment import exporters, named_exporters, protocol

# The content type and the text of the Prometheus format.
Metrics = Callable[[], tuple[str, bytes]]


def set_up(
    service: str, serves_metrics: bool, results: ExportResults
) -> tuple[Metrics | None, bool]:
    """Sets each provider that is not set yet.

    Args:
        results: watches the exporters.

    Returns:
        The source of an endpoint's metrics, if there is one; and whether log lines
        are exported.
    """
    resource = _resource(service)
    exports_lines, serve = False, None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        _traces(resource, results)
    if isinstance(get_logger_provider(), _logs._internal.ProxyLoggerProvider):
        exports_lines = _log_records(resource, results)
    if isinstance(metrics.get_meter_provider(), metrics._internal._ProxyMeterProvider):
        serve = _metrics(resource, serves_metrics, results)
    return serve, exports_lines


def _resource(service: str) -> Resource:
    attributes: dict[str, Any] = {}
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in given:
        attributes["service.name"] = service
    if "service.instance.id=" not in given:
        # Keeps the series of two processes of one service apart.
        attributes["service.instance.id"] = str(uuid.uuid4())
    return Resource.create(attributes)


def _traces(resource: Resource, results: ExportResults) -> None:
    names = exporters("traces")
    if not names:
        return
    # `Sdk.flush` has a time limit; the SDK's own exit handler has none.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        console = ConsoleSpanExporter(out=sys.stderr) if name == "console" else None
        exporter = console or _otlp("traces", name, "trace_exporter.OTLPSpanExporter")
        provider.add_span_processor(BatchSpanProcessor(results.watch(exporter)))
    trace.set_tracer_provider(provider)


def _log_records(resource: Resource, results: ExportResults) -> bool:
    """Returns whether to export log lines: only if the variable names an exporter.
    With an endpoint alone, only exceptions are exported."""
    names = exporters("logs")
    if not names:
        return False
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        console = ConsoleLogRecordExporter(out=sys.stderr) if name == "console" else None
        exporter = console or _otlp("logs", name, "_log_exporter.OTLPLogExporter")
        provider.add_log_record_processor(BatchLogRecordProcessor(results.watch(exporter)))
    _logs.set_logger_provider(provider)
    return bool(named_exporters("logs"))


def _metrics(resource: Resource, serves_metrics: bool, results: ExportResults) -> Metrics | None:
    readers: list[MetricReader] = []
    names = exporters("metrics")
    for name in names:
        if name == "prometheus":
            continue
        console = ConsoleMetricExporter(out=sys.stderr) if name == "console" else None
        exporter = console or _otlp("metrics", name, "metric_exporter.OTLPMetricExporter")
        readers.append(PeriodicExportingMetricReader(results.watch(exporter)))
    serve: Metrics | None = None
    if serves_metrics and (reader := _prometheus("prometheus" in names)) is not None:
        readers.append(reader[0])
        serve = reader[1]
    if readers:
        provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        metrics.set_meter_provider(provider)
    return serve


def _otlp(signal: str, name: str, what: str) -> Any:
    if name != "otlp":
        raise ConfigurationError(
            f"variable OTEL_{signal.upper()}_EXPORTER: {name!r} is not known; give otlp, console, "
            f"none or, for metrics, prometheus"
        )
    protocol(signal)
    module, _, kind = what.partition(".")
    try:
        found: Callable[[], Any] = getattr(
            import_module(f"opentelemetry.exporter.otlp.proto.http.{module}"), kind
        )
    except ImportError:
        raise ConfigurationError(
            "OTLP needs opentelemetry-exporter-otlp-proto-http; install the extra [otel]"
        ) from None
    return found()


def _prometheus(asked_for: bool) -> tuple[MetricReader, Metrics] | None:
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    except ImportError:
        if asked_for:
            raise ConfigurationError(
                "/metrics needs the package opentelemetry-exporter-prometheus; "
                "install the extra [otel]"
            ) from None
        return None
    registry = CollectorRegistry()
    # With the label of its scope, so that another library's metric of the same name is
    # another series.
    reader = PrometheusMetricReader(registry=registry)

    def serve() -> tuple[str, bytes]:
        return CONTENT_TYPE_LATEST, generate_latest(registry)

    return reader, serve
