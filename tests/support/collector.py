"""A collector of OpenTelemetry data: takes OTLP over HTTP and keeps spans, log
records and the names of metrics."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came, its ids in hexadecimal; `resource` says of which process."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    resource: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def service(self) -> str:
        name: str = self.resource["service.name"]
        return name


@dataclass(frozen=True)
class ReceivedLog:
    """A log record as it came; its ids are in hexadecimal, or empty."""

    body: str
    event_name: str
    severity: str
    scope: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class Collector:
    """Listens on 127.0.0.1 while it is entered.

    Attributes:
        paths: the paths of all requests.

    Args:
        answers: if False, it takes every request and never replies.
        status: the status of its replies.
    """

    def __init__(self, answers: bool = True, status: int = 200) -> None:
        self._answers = answers
        self._status = status
        self._lock = threading.Lock()
        self._spans: list[ReceivedSpan] = []
        self._logs: list[ReceivedLog] = []
        self._metrics: set[str] = set()
        self._closing = threading.Event()
        self.paths: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that exports here, but for metrics."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "under-test",
        }

    def spans(self, name: str | None = None) -> list[ReceivedSpan]:
        with self._lock:
            return [span for span in self._spans if name is None or span.name == name]

    def logs(self, body: str | None = None) -> list[ReceivedLog]:
        with self._lock:
            return [log for log in self._logs if body is None or log.body == body]

    def metric_names(self) -> set[str]:
        with self._lock:
            return set(self._metrics)

    def _take(self, path: str, body: bytes) -> None:
        with self._lock:
            self.paths.add(path)
            if path == "/v1/traces":
                self._spans += spans_of(body)
            elif path == "/v1/logs":
                self._logs += logs_of(body)
            elif path == "/v1/metrics":
                self._metrics |= metrics_of(body)

    def __enter__(self) -> Collector:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector._take(self.path, body)
                if not collector._answers:
                    collector._closing.wait()
                    return
                with contextlib.suppress(OSError):
                    self.send_response(collector._status)
                    self.send_header("Content-Type", "application/x-protobuf")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def spans_of(body: bytes) -> Iterator[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        of_resource = _values(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    of_resource,
                    _values(span.attributes),
                )


def logs_of(body: bytes) -> Iterator[ReceivedLog]:
    request = ExportLogsServiceRequest.FromString(body)
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield ReceivedLog(
                    record.body.string_value,
                    record.event_name,
                    record.severity_text,
                    scope.scope.name,
                    record.trace_id.hex(),
                    record.span_id.hex(),
                    _values(record.attributes),
                )


def metrics_of(body: bytes) -> set[str]:
    request = ExportMetricsServiceRequest.FromString(body)
    return {
        metric.name
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {
        a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in attributes
    }
