"""The context of a trace, into a message's headers and out of them."""

from __future__ import annotations

import json

import pytest
from fluxqueue_core.telemetry import propagation
from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_header_is_read() -> None:
    context = propagation.parse(GOOD, "a=1,b=2")
    assert context is not None
    assert (context.trace_id, context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert context.is_remote and context.trace_flags.sampled
    assert dict(context.trace_state) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds", True),
    ],
)
def test_flags_and_later_versions(header: str, sampled: bool) -> None:
    context = propagation.parse(header)
    assert context is not None
    assert context.trace_flags.sampled is sampled
    assert (header[propagation.FLAGS] in propagation.NOT_SAMPLED) is not sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_an_invalid_header_is_ignored(header: str) -> None:
    assert propagation.parse(header) is None


def test_an_unsampled_remote_span_is_read_on_request() -> None:
    span = propagation.RemoteSpan((f"00-{TRACE}-{SPAN}-00", "a=1", None))
    assert not span.is_recording()
    assert span.get_span_context().trace_id == int(TRACE, 16)
    assert not propagation.RemoteSpan(("00-bad-00", None, None)).get_span_context().is_valid


def test_headers_carry_what_is_there() -> None:
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), False, TraceFlags(1))
    assert json.loads(propagation.headers(context)) == {"traceparent": GOOD}
    state = TraceState([("vendor", 'quo"te')])
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), False, TraceFlags(1), state)
    baggage = set_baggage("user", "ada", Context())
    headers = json.loads(propagation.headers(context, baggage))
    assert headers == {
        "traceparent": GOOD,
        "tracestate": 'vendor=quo"te',
        "baggage": "user=ada",
    }
    read = propagation.with_baggage(Context(), headers["baggage"])
    assert get_all(read) == {"user": "ada"}
    assert "baggage" not in json.loads(propagation.headers(context, Context()))


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({"a": "x" * 8191}, 0),
        ({"a": "x" * 4094, "b": "x" * 4093}, 2),
        ({"a": "x" * 4094, "b": "x" * 4094}, 1),
        ({f"k{number:03}": "x" * 95 for number in range(200)}, 81),
        ({f"k{number:03}": "" for number in range(200)}, 180),
    ],
)
def test_baggage_is_bounded_and_its_members_stay_whole(members: dict[str, str], kept: int) -> None:
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), False, TraceFlags(1))
    baggage = Context()
    for name, value in members.items():
        baggage = set_baggage(name, value, baggage)
    headers = json.loads(propagation.headers(context, baggage))
    assert len(headers.get("baggage", "")) <= 8192
    read = get_all(propagation.with_baggage(Context(), headers.get("baggage", "")))
    assert read == dict(list(members.items())[:kept])
