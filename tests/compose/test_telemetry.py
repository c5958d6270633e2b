"""An order's trace in the viewer, from the request to the last settlement, and
the processes' metrics."""

from __future__ import annotations

import urllib.request

from support.jaeger import Trace
from support.stack import Stack
from support.waiting import wait_until

CHARGE, PACK, CONFIRM, POINTS = "charge_card", "pack_parcel", "send_confirmation", "credit_points"
# An order whose card is refused once: what its trace consists of.
WHOLE = {
    "POST /orders": 1,
    "enqueue default": 4,
    "process default": 2 + 1 + 1 + 3,
    "ack default": 3,
    "retry default": 1 + 2,
    "dead default": 1,
}


def is_whole(trace: Trace) -> bool:
    return all(len(trace.named(name)) == count for name, count in WHOLE.items())


def test_an_order_is_one_trace_from_the_request_to_the_last_retry(stack: Stack) -> None:
    number = stack.place(card="refused-once")
    (order,) = stack.wait_for_ends([number])
    trace = stack.wait_for_trace(order["trace_id"], is_whole)

    request = trace.one("POST /orders")
    assert (request.service, request.kind, request.parent) == ("shop", "server", None)
    assert trace.below(request) == [("enqueue default", CHARGE)]
    sent = trace.one("enqueue default", CHARGE)
    assert (sent.service, sent.kind) == ("shop", "producer")

    # Both attempts are below the span that sent the task, and linked to it: the
    # one and the other, which only /api/v3 of the viewer tells apart.
    refused, charged = (trace.one("process default", CHARGE, attempt=n) for n in (1, 2))
    for attempt in (refused, charged):
        assert (attempt.service, attempt.kind) == ("worker", "consumer")
        assert attempt.parent == sent.span_id
        assert attempt.links == ((order["trace_id"], sent.span_id),)
        assert attempt.attributes["messaging.system"] == "fluxqueue"
        assert attempt.attributes["messaging.destination.name"] == "default"
    assert refused.attributes["error.type"] == "shop.tasks.CardRefused"
    assert refused.failed
    assert "exception" in refused.events
    assert trace.below(refused) == [("retry default", CHARGE)]
    # The tasks that it enqueues are below it, from the event loop and from a thread.
    assert not charged.failed
    assert trace.below(charged) == [
        ("ack default", CHARGE),
        ("enqueue default", POINTS),
        ("enqueue default", PACK),
    ]
    packed = trace.one("process default", PACK)
    assert packed.parent == trace.one("enqueue default", PACK).span_id
    assert trace.below(packed) == [("ack default", PACK), ("enqueue default", CONFIRM)]
    told = trace.one("process default", CONFIRM)
    assert trace.below(told) == [("ack default", CONFIRM)]
    last = trace.one("process default", POINTS, attempt=3)
    assert trace.below(last) == [("dead default", POINTS)]
    for name in ("ack default", "retry default", "dead default"):
        assert {(s.service, s.kind) for s in trace.named(name)} == {("worker", "client")}


def test_a_delayed_attempt_was_promoted_by_the_scheduler(stack: Stack) -> None:
    number = stack.place(card="refused-once")
    (order,) = stack.wait_for_ends([number])
    trace = stack.wait_for_trace(order["trace_id"], is_whole)
    sent = trace.one("enqueue default", CHARGE)

    def promotions() -> list[str]:
        # In the task's trace, or in a separate one if others were moved along.
        found = stack.traces_with("scheduler", "promote default")
        mine = (order["trace_id"], sent.span_id)
        return [s.service for s in found if s.name == "promote default" and mine in s.links]

    assert wait_until(promotions, what="the promotion") == ["scheduler"]


def test_every_process_serves_its_metrics(stack: Stack) -> None:
    stack.wait_for_ends([stack.place()])
    worker, scheduler = (
        "".join(read_metrics(stack, container) for container in stack.containers(service))
        for service in ("worker", "scheduler")
    )
    for name in (
        "messaging_client_sent_messages_total",
        "messaging_client_consumed_messages_total",
        "messaging_client_operation_duration_seconds_bucket",
        "messaging_process_duration_seconds_bucket",
    ):
        assert f"\n{name}{{" in worker, name
    assert "\nfluxqueue_" in worker
    assert "\nfluxqueue_" in scheduler


def read_metrics(stack: Stack, container: str) -> str:
    return stack.execute(container, "python", "-m", "fluxqueue_core.service.probe", "8080/metrics")


def test_the_viewers_page_is_there(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.viewer_url}/search", timeout=20) as answer:
        assert b"Jaeger UI" in answer.read()
