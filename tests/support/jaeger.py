"""Spans as the trace viewer's API gives them: /api/v3, which speaks OTLP in JSON.

Its older API keeps one reference per span: of a span whose parent is also a link
it tells of the link only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """One span.

    Attributes:
        task: the task's name, where it is about one.
        parent: the id of the span that it belongs below.
        links: (trace id, span id).
        events: the names of its events.
        failed: its status is Error.
    """

    trace_id: str
    span_id: str
    name: str
    service: str
    kind: str
    task: str | None
    parent: str | None
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    events: tuple[str, ...]
    failed: bool


KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
ERROR = 2


class Trace(list[Span]):
    """The spans of one trace, or of several.

    Args:
        data: the API's answer, or {}.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(
            _span(span, _values(of_process["resource"])["service.name"])
            for of_process in data.get("result", {}).get("resourceSpans", ())
            for scope in of_process["scopeSpans"]
            for span in scope["spans"]
        )

    def named(self, name: str, task: str | None = None, **attributes: Any) -> list[Span]:
        """Returns the spans with this name and these attributes (their names without
        `messaging.fluxqueue.`). If a task is given, returns only spans of that task."""
        wanted = {f"messaging.fluxqueue.{key}": value for key, value in attributes.items()}.items()
        return [
            span
            for span in self
            if span.name == name
            and (task is None or span.task == task)
            and wanted <= span.attributes.items()
        ]

    def one(self, name: str, task: str | None = None, **attributes: Any) -> Span:
        """The only one of these."""
        found = self.named(name, task, **attributes)
        assert len(found) == 1, f"{len(found)} spans {name} {task} {attributes} in {self}"
        return found[0]

    def below(self, parent: Span) -> list[tuple[str, str | None]]:
        """Name and task of the spans right below that one, in order."""
        found = [(s.name, s.task) for s in self if s.parent == parent.span_id]
        return sorted(found, key=lambda item: (item[0], item[1] or ""))

    def __repr__(self) -> str:
        return ", ".join(sorted(f"{s.service}: {s.name} {s.task or ''}".strip() for s in self))


def _span(span: Mapping[str, Any], service: str) -> Span:
    attributes = _values(span)
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        name=span["name"],
        service=service,
        kind=KINDS[span.get("kind", 0)],
        task=attributes.get("messaging.fluxqueue.task.name"),
        parent=span.get("parentSpanId") or None,
        links=tuple((link["traceId"], link["spanId"]) for link in span.get("links", ())),
        attributes=attributes,
        events=tuple(event["name"] for event in span.get("events", ())),
        failed=span.get("status", {}).get("code") == ERROR,
    )


def _values(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes: each value is below the name of its type."""
    found: dict[str, Any] = {}
    for attribute in holder.get("attributes", ()):
        ((kind, value),) = attribute["value"].items()
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found
