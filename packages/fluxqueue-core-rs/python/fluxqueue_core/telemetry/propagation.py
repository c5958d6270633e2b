"""A trace's context in a message: W3C Trace Context, and Baggage.

This module does not use the propagators of OpenTelemetry, because they cost too much: its
functions run for every task, sampled or not.
"""

from __future__ import annotations

import re

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

from fluxqueue_core import json_codec

from .semconv import BAGGAGE, TRACEPARENT, TRACESTATE

# The key of the current span in an OpenTelemetry context.
(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
# The key of the id of the task that runs.
TASK_ID_KEY = "fluxqueue-task-id"

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
SAMPLED = TraceFlags.SAMPLED
# The trace state of a context without one. To compare with it takes a tenth of the time of
# its length.
_NO_STATE = INVALID_SPAN_CONTEXT.trace_state
# Flags are made only once: to make them takes as long as to read the header.
TRACE_FLAGS = tuple(TraceFlags(number) for number in range(256))
# Where the last digit of a header's flags is, and the digits which say that the
# sender has decided against recording the trace.
FLAGS = slice(54, 55)
NOT_SAMPLED = frozenset("02468ace")
_BAGGAGE = W3CBaggagePropagator()
# The limits up to which W3C Baggage makes all systems pass baggage on. Readers discard a
# longer header.
_BAGGAGE_BYTES = 8192
_BAGGAGE_MEMBERS = 180


def parse(traceparent: str, tracestate: str | None = None) -> SpanContext | None:
    """Returns the remote span's context; None if the header is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if more and version == "00":
        return None
    state = TraceState.from_header([tracestate]) if tracestate else None
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), True, TRACE_FLAGS[int(flags, 16)], state
    )


class RemoteSpan(NonRecordingSpan):
    """The span that a message names, as the current span of a task that is not recorded.
    It reads its headers (`Attempt.trace_headers`) only on request, since most tasks don't
    ask."""

    _read: SpanContext | None = None

    def __init__(self, headers: tuple[str | None, str | None, str | None]) -> None:
        self._headers = headers

    def get_span_context(self) -> SpanContext:
        if self._read is None:
            traceparent, tracestate, _ = self._headers
            self._read = parse(traceparent or "", tracestate) or INVALID_SPAN_CONTEXT
        return self._read


def with_baggage(context: Context, baggage: str) -> Context:
    """Returns the context with the entries of a header `baggage`."""
    return _BAGGAGE.extract({BAGGAGE: baggage}, context)


def headers(span: SpanContext, baggage: Context | None = None) -> bytes:
    """Returns the headers of a message as a JSON object.

    Args:
        baggage: the context whose baggage travels with the message. None: no baggage.
    """
    trace_id, span_id, _, flags, state, _ = span
    if baggage is None and (state is _NO_STATE or not state):
        # This is the fastest way to write it.
        return b'{"traceparent":"00-%032x-%016x-%02x"}' % (trace_id, span_id, flags)
    carrier = {TRACEPARENT: f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"}
    if state:
        carrier[TRACESTATE] = state.to_header()
    if baggage is not None and all_baggage(baggage):
        _BAGGAGE.inject(carrier, baggage)
        if kept := _bounded(carrier.pop(BAGGAGE, "")):
            carrier[BAGGAGE] = kept
    return json_codec.dumps(carrier)


def _bounded(baggage: str) -> str:
    """Returns the header up to the limits, with whole members. A request's baggage must
    not make a call fail, nor a message large."""
    length = 0
    for count, member in enumerate(baggage.split(",")):
        if count == _BAGGAGE_MEMBERS or length + len(member) > _BAGGAGE_BYTES:
            return baggage[: max(length - 1, 0)]
        length += len(member) + 1
    return baggage
