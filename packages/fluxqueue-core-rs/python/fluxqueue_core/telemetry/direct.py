"""The SDK's internals that giving a span to its processors without its tracer needs.

These parts of the SDK are not meant for its users. So `Direct.of` looks at each of
them, makes a span as it would later, and returns None if anything is unexpected, or if
the SDK would do more than this module does: a sampler of another kind, a processor that
looks at spans as they begin, limits that would cut our spans, the SDK's own counters.

Why: docs/decisions/0021-spans-and-histograms-past-the-sdk.md
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
_UNSET = Status(StatusCode.UNSET)
_RANDOM: int = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
# A ratio sampler looks at the last 64 bits of a trace's id.
_RATIO_BITS = (1 << 64) - 1
# Attributes that none of our spans has when it begins.
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
        """For this tracer; None where it has to make the spans itself."""
        try:
            if not _nobody_could_tell(tracer):
                return None
            direct = cls(tracer)
            context = SpanContext(1, 1, False, TRACE_FLAGS[SAMPLED])
            probe = ("", context, context, SpanKind.CLIENT, {"a": 1}, [Link(context)], 1)
            direct.sdks(*probe)
            direct._ended_span(*probe, 2)
        except (ImportError, AttributeError, TypeError):
            return None
        return direct

    def child_of(self, parent: SpanContext) -> SpanContext | None:
        """The context of a new span below this one; None where it is for the
        tracer to say whether it is recorded."""
        trace_id, _, is_remote, flags, state, _ = parent
        if not flags & SAMPLED or not (self._below_remote if is_remote else self._below_local):
            return None
        if self._processor._span_processors is not self._processors:
            return None
        flags = TRACE_FLAGS[SAMPLED | flags & _RANDOM]
        return SpanContext(trace_id, self._new_span_id(), False, flags, state)

    def root(self) -> SpanContext | None:
        """The context of a new trace, which is sampled or not; None where only
        the tracer can say."""
        bound = self._root_bound
        if bound is None or self._processor._span_processors is not self._processors:
            return None
        trace_id, flags = self._new_trace_id(), self._root_flags
        if trace_id & _RATIO_BITS < bound:
            flags |= SAMPLED
        return SpanContext(trace_id, self._new_span_id(), False, TRACE_FLAGS[flags])

    def end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link],
        started: int,
        ended: int | None,
    ) -> Any:
        """Gives a finished span to the processors, and returns it.

        Args:
            started, ended: nanoseconds since 1970; None is now.
        """
        if ended is None:
            ended = time_ns()
        span = self._ended_span(name, context, parent, kind, attributes, links, started, ended)
        self._processor.on_end(span)
        return span

    def _ended_span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link],
        started: int,
        ended: int,
    ) -> Any:
        return self._ended(
            name,
            context,
            parent,
            self._tracer.resource,
            attributes,
            (),
            links,
            kind,
            self._tracer.instrumentation_info,
            _UNSET,
            started,
            ended,
            self._scope,
        )

    def sdks(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link],
        started: int,
    ) -> Any:
        """The same span as one of the SDK's, begun."""
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


def _nobody_could_tell(tracer: Any) -> bool:
    """Whether the SDK does nothing for our spans that is not done here."""
    from opentelemetry.sdk.trace import (
        ConcurrentMultiSpanProcessor,
        SpanProcessor,
        SynchronousMultiSpanProcessor,
        Tracer,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    if type(tracer) is not Tracer or not getattr(tracer, "_is_enabled", lambda: True)():
        return False
    # An application may wrap all processors in its own one.
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
    """Whether all spans are recorded below sampled parents of this process, and
    of another one; and a bound for the last 64 bits of the trace ids of roots
    below which they are sampled. False and None where only the sampler knows."""
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
