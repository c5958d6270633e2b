"""A trace's context in a message: W3C Trace Context, and Baggage.

Written by hand rather than with the propagators of OpenTelemetry, for their
cost: these functions run for every task, sampled or not.
"""

from __future__ import annotations

import re

import orjson
from opentelemetry.baggage import get_all as all_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from .semconv import BAGGAGE, TRACEPARENT, TRACESTATE

# The key of the current span in a context.
(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
# The key of the id of the task that runs.
TASK_ID_KEY = "fluxqueue-task-id"

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
# Where the last digit of a header's flags stands, and which of them say that its
# sender has decided against recording the trace.
FLAGS = slice(54, 55)
NOT_SAMPLED = frozenset("02468ace")
_BAGGAGE = W3CBaggagePropagator()
# What W3C Baggage has everybody pass on; a reader throws a longer header away.
_BAGGAGE_BYTES = 8192
_BAGGAGE_MEMBERS = 180


def parse(traceparent: str, tracestate: str | None = None) -> SpanContext | None:
    """The remote span's context; None where the header is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[1] == "00" and found[5]):
        return None
    state = TraceState.from_header([tracestate]) if tracestate else None
    flags = TraceFlags(int(found[4], 16))
    return SpanContext(int(found[2], 16), int(found[3], 16), True, flags, state)


class RemoteSpan(NonRecordingSpan):
    """The span that a message names, as the current span of a task that is not
    recorded. Its header is read only where somebody asks: most tasks do not."""

    def __init__(self, traceparent: str, tracestate: str | None) -> None:
        self.traceparent = traceparent
        self.tracestate = tracestate

    def get_span_context(self) -> SpanContext:
        return parse(self.traceparent, self.tracestate) or INVALID_SPAN_CONTEXT


def with_baggage(context: Context, baggage: str) -> Context:
    """The context with what a header `baggage` says."""
    return _BAGGAGE.extract({BAGGAGE: baggage}, context)


def headers(span: SpanContext, baggage: Context | None = None) -> bytes:
    """A message's headers as a JSON object.

    Args:
        baggage: the context whose baggage is to travel along; None: none is.
    """
    trace_id, span_id, _, flags, state, _ = span
    if baggage is None and not state:
        # The quickest of the ways to write it.
        return b'{"traceparent":"00-%032x-%016x-%02x"}' % (trace_id, span_id, flags)
    carrier = {TRACEPARENT: f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"}
    if state:
        carrier[TRACESTATE] = state.to_header()
    if baggage is not None and all_baggage(baggage):
        _BAGGAGE.inject(carrier, baggage)
        if kept := _bounded(carrier.pop(BAGGAGE, "")):
            carrier[BAGGAGE] = kept
    return orjson.dumps(carrier)


def _bounded(baggage: str) -> str:
    """The header without the members that are too much; each stays whole. What
    came with somebody's request must not make a call fail, nor a message large."""
    length = 0
    for count, member in enumerate(baggage.split(",")):
        if count == _BAGGAGE_MEMBERS or length + len(member) > _BAGGAGE_BYTES:
            return baggage[: max(length - 1, 0)]
        length += len(member) + 1
    return baggage
