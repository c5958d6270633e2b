"""Spans as the trace viewer's API gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """One span.

    Attributes:
        task: the task's name, where it is about one.
        parent: the id of the span in the same trace that it belongs below. The
            viewer keeps one reference to each span: where a span has its parent
            also as a link, it tells of the link only.
        links: (trace id, span id).
        events: the names of its events.
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


class Trace(list[Span]):
    """The spans of one trace, or of several.

    Args:
        data: the API's list of traces.
    """

    def __init__(self, data: Sequence[dict[str, Any]]) -> None:
        super().__init__(
            _span(span, trace["processes"]) for trace in data for span in trace["spans"]
        )

    def named(self, name: str, task: str | None = None, **attributes: Any) -> list[Span]:
        """Those of this name, and of this task where one is given, that have
        these attributes (without `messaging.fluxqueue.`)."""
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


def _span(span: dict[str, Any], processes: dict[str, Any]) -> Span:
    attributes = {tag["key"]: tag["value"] for tag in span["tags"]}
    references = span["references"]
    within = [r["spanID"] for r in references if r["traceID"] == span["traceID"]]
    return Span(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        name=span["operationName"],
        service=processes[span["processID"]]["serviceName"],
        kind=attributes.get("span.kind", "internal"),
        task=attributes.get("messaging.fluxqueue.task.name"),
        parent=within[0] if within else None,
        links=tuple(
            (r["traceID"], r["spanID"]) for r in references if r["refType"] == "FOLLOWS_FROM"
        ),
        attributes=attributes,
        events=tuple(
            field["value"]
            for log in span["logs"]
            for field in log["fields"]
            if field["key"] == "event"
        ),
    )
