"""Gives spans to the SDK's processors without its tracer. All that we know of the SDK
for that is here. Why: docs/decisions/0021-spans-and-histograms-past-the-sdk.md

These parts of the SDK are not meant for its users. So `Direct.of` checks each of them
and makes a span as it will later. It returns None if anything differs from what this
module knows, or if the SDK would do something that this module does not: a sampler of
another kind, a processor that looks at spans as they begin, limits that would cut our
spans, or the SDK's own counters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from fluxqueue_core import __version__

from . import semconv as s
from .propagation import SAMPLED, TRACE_FLAGS

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, Any]
# A span that has begun: its name, context and parent, its kind, attributes and links, and
# when it began, in nanoseconds since 1970. A plain tuple: a NamedTuple takes five times
# as long to make, and each task has two or three.
Begun = tuple[str, SpanContext, SpanContext | None, SpanKind, Attributes, Sequence[Link], int]
_UNSET = Status(StatusCode.UNSET)
_RANDOM: int = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
# The bits of a trace's id that decide about a ratio: the last 64.
_RATIO_BITS = (1 << 64) - 1
# More attributes than any of our spans has when it begins.
_MANY = 32


class Direct:
    """Makes spans for a tracer; see the module's text."""

    def __init__(self, tracer: Any) -> None:
        from opentelemetry.sdk.trace import ReadableSpan, _Span
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._tracer = tracer
        self._processor = tracer.span_processor
        self._processors = tracer.span_processor._span_processors
        self._new_span_id = tracer.id_generator.generate_span_id
        self._new_trace_id = tracer.id_generator.generate_trace_id
        is_random = getattr(tracer.id_generator, "is_trace_id_random", bool)()
        self._root_flags = _RANDOM if is_random else 0
        self._below_local, self._below_remote, self._root_bound = _recorded(tracer.sampler)
        self._ended: Any = ReadableSpan
        self._sdks: Any = _Span
        self._scope = InstrumentationScope(s.SCOPE, __version__, s.SCHEMA_URL)

    @classmethod
    def of(cls, tracer: Tracer) -> Direct | None:
        """Makes an object for this tracer. None: the tracer must make the spans itself."""
        try:
            if not _is_invisible(tracer):
                return None
            direct = cls(tracer)
            context = SpanContext(1, 1, False, TRACE_FLAGS[SAMPLED])
            probe = ("", context, context, SpanKind.CLIENT, {"a": 1}, [Link(context)], 1)
            direct.sdks(probe)
            direct._ended_span(probe, 2)
        except (ImportError, AttributeError, TypeError):
            return None
        return direct

    def child_of(self, parent: SpanContext) -> SpanContext | None:
        """Returns the context of a new span below this one. None: only the tracer knows
        whether to record it."""
        trace_id, _, is_remote, flags, state, _ = parent
        if not flags & SAMPLED or not (self._below_remote if is_remote else self._below_local):
            return None
        if self._processor._span_processors is not self._processors:
            return None
        flags = TRACE_FLAGS[SAMPLED | flags & _RANDOM]
        return SpanContext(trace_id, self._new_span_id(), False, flags, state)

    def root(self) -> SpanContext | None:
        """Returns the context of a new trace, sampled or not. None: only the tracer knows
        whether to sample it."""
        bound = self._root_bound
        if bound is None or self._processor._span_processors is not self._processors:
            return None
        trace_id, flags = self._new_trace_id(), self._root_flags
        if trace_id & _RATIO_BITS < bound:
            flags |= SAMPLED
        return SpanContext(trace_id, self._new_span_id(), False, TRACE_FLAGS[flags])

    def end(self, begun: Begun, ended: int | None) -> Any:
        """Gives a finished span to the processors, and returns it.

        Args:
            ended: the end in nanoseconds since 1970. None: now.
        """
        span = self._ended_span(begun, time_ns() if ended is None else ended)
        self._processor.on_end(span)
        return span

    def _ended_span(self, begun: Begun, ended: int) -> Any:
        name, context, parent, kind, attributes, links, started = begun
        tracer = self._tracer
        return self._ended(
            name,
            context,
            parent,
            tracer.resource,
            attributes,
            (),
            links,
            kind,
            tracer.instrumentation_info,
            _UNSET,
            started,
            ended,
            self._scope,
        )

    def sdks(self, begun: Begun) -> Any:
        """Returns the same span as a span of the SDK, which has begun."""
        name, context, parent, kind, attributes, links, started = begun
        tracer = self._tracer
        span = self._sdks(
            name=name,
            context=context,
            parent=parent,
            sampler=tracer.sampler,
            resource=tracer.resource,
            attributes=attributes,
            links=links,
            kind=kind,
            span_processor=self._processor,
            limits=tracer._span_limits,
            instrumentation_info=tracer.instrumentation_info,
            instrumentation_scope=self._scope,
        )
        span.start(start_time=started)
        return span


def _is_invisible(tracer: Any) -> bool:
    """Whether this module does all that the SDK would do for our spans."""
    from opentelemetry.sdk.trace import (
        ConcurrentMultiSpanProcessor,
        SpanProcessor,
        SynchronousMultiSpanProcessor,
        Tracer,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    if type(tracer) is not Tracer or not getattr(tracer, "_is_enabled", lambda: True)():
        return False
    # An application may put its own processor around all others.
    if type(tracer.span_processor) not in (
        SynchronousMultiSpanProcessor,
        ConcurrentMultiSpanProcessor,
    ):
        return False
    processors = tracer.span_processor._span_processors
    idle = (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    for hook in ("on_start", "_on_ending"):
        known = [getattr(kind, hook, None) for kind in idle]
        if any(getattr(type(p), hook, None) not in known for p in processors):
            return False
    # With OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED the tracer counts its spans.
    counters = getattr(tracer, "_tracer_metrics", None)
    limits = tracer._span_limits
    return (
        (counters is None or type(counters).__name__ == "NoOpTracerMetrics")
        and limits.max_span_attribute_length is None
        and (limits.max_span_attributes is None or limits.max_span_attributes >= _MANY)
        and (limits.max_links is None or limits.max_links > 0)
    )


def _recorded(sampler: Any) -> tuple[bool, bool, int | None]:
    """The decisions of the sampler.

    Returns:
        Three values: whether it records all spans below sampled parents of this process;
        whether it does so below parents of other processes; and the bound for sampled
        roots (the last 64 bits of their trace ids are below it). If only the sampler
        knows, these are False and None.
    """
    from opentelemetry.sdk.trace.sampling import (
        ALWAYS_OFF,
        ALWAYS_ON,
        ParentBased,
        TraceIdRatioBased,
    )

    if sampler is ALWAYS_ON:
        return True, True, _RATIO_BITS + 1
    if type(sampler).should_sample is not ParentBased.should_sample:
        return False, False, None
    root, bound = sampler._root, None
    if root is ALWAYS_ON or root is ALWAYS_OFF:
        bound = _RATIO_BITS + 1 if root is ALWAYS_ON else 0
    elif type(root) is TraceIdRatioBased:
        bound = root.bound
    below = (sampler._local_parent_sampled, sampler._remote_parent_sampled)
    return below[0] is ALWAYS_ON, below[1] is ALWAYS_ON, bound
