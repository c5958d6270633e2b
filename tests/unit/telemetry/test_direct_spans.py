"""Spans made without the SDK are as the SDK makes them, or it makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue_core.telemetry.spans import NO_ATTRIBUTES, DirectSpan, Spans
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

ATTRIBUTES = {"messaging.system": "fluxqueue", "messaging.fluxqueue.attempt": 2}
PARENTS = {
    "none": None,
    "remote": SpanContext(5, 6, True, TraceFlags(1), TraceState([("a", "1")])),
    "remote, random": SpanContext(5, 6, True, TraceFlags(3)),
    "local": SpanContext(5, 6, False, TraceFlags(1)),
}


class Provider:
    """A tracer provider and what it was given."""

    def __init__(self, sampler: Sampler | None = None, limits: SpanLimits | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler, span_limits=limits, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("fluxqueue")
        self.spans = Spans(self.tracer)

    def ended(self) -> ReadableSpan:
        (span,) = self._exporter.get_finished_spans()
        return span

    def count(self) -> int:
        return len(self._exporter.get_finished_spans())


def start(spans: Spans, parent: SpanContext | None = PARENTS["remote"]) -> trace.Span:
    links = () if parent is None else (Link(parent, NO_ATTRIBUTES),)
    return spans.start("process q", parent, SpanKind.CONSUMER, ATTRIBUTES, links)


def shown(span: ReadableSpan) -> dict[str, Any]:
    """The span as an exporter sees it, without ids and times."""
    as_json: dict[str, Any] = json.loads(span.to_json())
    assert span.context is not None and span.context.span_id not in (0, 6)
    assert span.start_time is not None and span.end_time is not None
    assert 0 < span.start_time <= span.end_time
    for changing in ("start_time", "end_time", "resource"):
        del as_json[changing]
    del as_json["context"]["span_id"]
    if span.parent is None:
        del as_json["context"]["trace_id"]
    for event in as_json["events"]:
        del event["timestamp"]
    context = span.context
    dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    return as_json | {
        "more": [span.parent, context.trace_flags, context.trace_state, context.is_remote],
        "dropped": dropped,
        "scope": span.instrumentation_scope and span.instrumentation_scope.name,
        "info": repr(span._instrumentation_info),  # the older name, which exporters may read
        "resource": dict(span.resource.attributes),
    }


def touch(span: trace.Span) -> None:
    span.set_attribute("a", 1)
    span.set_attributes({"b": "c"})
    span.add_event("event", {"d": 1.5})
    span.add_link(SpanContext(7, 8, False))
    span.update_name("another")
    span.record_exception(ValueError("no good"))
    span.set_status(StatusCode.ERROR, "no good")


@pytest.mark.parametrize("parent", PARENTS.values(), ids=PARENTS)
@pytest.mark.parametrize("use", [lambda span: None, touch], ids=["untouched", "touched"])
def test_a_span_is_as_the_sdk_makes_it(
    parent: SpanContext | None, use: Callable[[trace.Span], None]
) -> None:
    direct, sdks = Provider(), Provider()
    sdks.spans._direct = None
    made = []
    for provider in (direct, sdks):
        span = start(provider.spans, parent)
        assert isinstance(span, DirectSpan) is (provider is direct)
        assert isinstance(span, trace.Span) and span.is_recording()
        use(span)
        assert provider.count() == 0
        span.end()
        assert not span.is_recording()
        ended = provider.ended()
        assert ended.context == span.get_span_context()
        span.set_attribute("too", "late")
        span.end()
        assert "too" not in (ended.attributes or {}) and provider.count() == 1
        made.append(shown(ended))
    assert made[0] == made[1]


@pytest.mark.parametrize("end", [0, 10**18])
def test_a_span_ends_at_the_given_time(end: int) -> None:
    provider = Provider()
    start(provider.spans).end(end)
    assert provider.ended().end_time == end


def test_attributes_that_only_the_sdks_spans_have_can_be_read() -> None:
    span: Any = start(Provider().spans)
    assert span.attributes["messaging.system"] == "fluxqueue"
    assert isinstance(span._become_the_sdks(), Span)
    span = start(Provider().spans)
    span.end()
    assert (span.name, span.attributes["messaging.system"]) == ("process q", "fluxqueue")
    with pytest.raises(AttributeError):
        span.nonsense  # noqa: B018


def test_an_exception_that_leaves_a_with_block_is_recorded() -> None:
    provider = Provider()
    with pytest.raises(ValueError, match="no good"), start(provider.spans):
        raise ValueError("no good")
    assert provider.ended().status.status_code is StatusCode.ERROR
    assert [event.name for event in provider.ended().events] == ["exception"]


@pytest.mark.parametrize("flags", [0, 2])
def test_below_an_unsampled_parent_the_tracer_decides(flags: int) -> None:
    provider = Provider()
    span = start(provider.spans, SpanContext(5, 6, True, TraceFlags(flags)))
    assert not isinstance(span, DirectSpan) and not span.is_recording()


def test_a_ratio_decides_about_roots_as_it_does_in_the_sdk() -> None:
    sampler = TraceIdRatioBased(0.3)
    provider = Provider(ParentBased(sampler))
    seen = set()
    for _ in range(200):
        span = start(provider.spans, None)
        context = span.get_span_context()
        decided = sampler.should_sample(None, context.trace_id, "").decision.value == 2
        assert context.is_valid and context.trace_flags.sampled is decided
        assert isinstance(span, DirectSpan) is decided
        by_sdk = provider.tracer.start_span("x", Context()).get_span_context()
        assert context.trace_flags | 1 == by_sdk.trace_flags | 1
        seen.add(decided)
    assert seen == {True, False}


class Watching(SpanProcessor):
    """Looks at spans as they begin."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.seen.append(span)


class Ending(Watching):
    """Looks at them before they end."""

    on_start = SpanProcessor.on_start

    def _on_ending(self, span: Any) -> None:
        self.seen.append(span)


@pytest.mark.parametrize("kind", [Watching, Ending])
@pytest.mark.parametrize("comes_late", [False, True])
def test_a_processor_that_looks_sees_the_sdks_spans(kind: type[Watching], comes_late: bool) -> None:
    provider = Provider()
    processor = kind()
    provider.provider.add_span_processor(processor)
    if not comes_late:
        provider.spans = Spans(provider.tracer)
    start(provider.spans).end()
    (seen,) = processor.seen
    assert isinstance(seen, Span)


class Around(SynchronousMultiSpanProcessor):
    """Stands around all others, and looks at what passes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.seen.append(span)
        super().on_start(span, parent_context)


def test_a_processor_around_all_others_sees_the_sdks_spans() -> None:
    around = Around()
    provider = TracerProvider(active_span_processor=around, shutdown_on_exit=False)
    start(Spans(provider.get_tracer("fluxqueue"))).end()
    (seen,) = around.seen
    assert isinstance(seen, Span)


class OwnSampler(ParentBased):
    """Adds an attribute."""

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        result: Any = super().should_sample(*args, **kwargs)
        result.attributes = {**result.attributes, "sampler": "own"}
        return result


@pytest.mark.parametrize(
    ("sampler", "direct"),
    [
        (ALWAYS_ON, ["none", "remote", "local"]),
        (ParentBased(ALWAYS_ON), ["none", "remote", "local"]),
        (ParentBased(ALWAYS_OFF), ["remote", "local"]),
        (ParentBased(ALWAYS_ON, remote_parent_sampled=TraceIdRatioBased(1)), ["none", "local"]),
        (ParentBased(OwnSampler(ALWAYS_ON)), ["remote", "local"]),
        (TraceIdRatioBased(1), []),
        (OwnSampler(ALWAYS_ON), []),
    ],
)
def test_a_sampler_that_decides_in_its_own_way_is_asked(
    sampler: Sampler, direct: list[str]
) -> None:
    spans = Provider(sampler).spans
    made = [n for n, p in PARENTS.items() if isinstance(start(spans, p), DirectSpan)]
    assert [name for name in made if name != "remote, random"] == direct


@pytest.mark.parametrize(
    "limits",
    [SpanLimits(max_span_attribute_length=3), SpanLimits(max_span_attributes=1)]
    + [SpanLimits(max_links=0)],
)
def test_limits_hold(limits: SpanLimits) -> None:
    assert not isinstance(start(Provider(limits=limits).spans), DirectSpan)


def test_another_tracer_makes_its_own_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not start(Spans(trace.NoOpTracer())).is_recording()
    # An SDK whose private parts are others.
    monkeypatch.setattr("opentelemetry.sdk.trace._Span.__init__", lambda self, nothing: None)
    provider = Provider()
    assert provider.spans._direct is None
