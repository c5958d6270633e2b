"""The messaging conventions of OpenTelemetry as a table, and a span's comparison
with it: names, kinds, attributes, and what a span has when it is created."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from .telemetry import Recorded

# operation name → (operation type, kind of span, what else it must have at its creation)
CONVENTIONS: dict[str, tuple[str | None, SpanKind, set[str]]] = {
    "enqueue": ("send", SpanKind.PRODUCER, {"messaging.message.id"}),
    "create": ("create", SpanKind.PRODUCER, {"messaging.message.id"}),
    "process": (
        "process",
        SpanKind.CONSUMER,
        {"messaging.message.id", "messaging.fluxqueue.attempt"},
    ),
    "ack": ("settle", SpanKind.CLIENT, {"messaging.message.id"}),
    "retry": ("settle", SpanKind.CLIENT, {"messaging.message.id", "messaging.fluxqueue.delay"}),
    "dead": ("settle", SpanKind.CLIENT, {"messaging.message.id", "messaging.fluxqueue.reason"}),
    "release": ("settle", SpanKind.CLIENT, {"messaging.message.id"}),
    "expire": ("settle", SpanKind.CLIENT, {"messaging.message.id"}),
}


def check(
    recorded: Recorded,
    span: ReadableSpan,
    url: str,
    *,
    task: str,
    kind: SpanKind | None = None,
    queue: str = "default",
) -> dict[str, Any]:
    """Compares a span with the table; returns its attributes."""
    operation = span.name.removesuffix(f" {queue}")
    operation_type, usual_kind, more = CONVENTIONS[operation]
    address = urlsplit(url)
    at_creation = {
        "messaging.system": "fluxqueue",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation_type,
        "messaging.destination.name": queue,
        "server.address": address.hostname,
        "server.port": address.port,
        "messaging.fluxqueue.task.name": task,
    }
    shown = recorded.shown(span.name)
    assert at_creation.items() <= shown.items()
    host, pid, random = str(shown["messaging.client.id"]).split("@")
    assert (host, pid) == (os.uname().nodename, str(os.getpid())) and random
    if kind is None:
        assert more <= shown.keys()
    assert span.name == f"{operation} {queue}"
    assert span.kind is (kind or usual_kind)
    attributes = dict(span.attributes or {})
    assert at_creation.items() <= attributes.items()
    assert ("error.type" in attributes) is (span.status.status_code is StatusCode.ERROR)
    if span.status.status_code is not StatusCode.ERROR:
        assert span.status.status_code is StatusCode.UNSET
    assert ("messaging.batch.message_count" in attributes) is (kind is not None)
    return attributes
