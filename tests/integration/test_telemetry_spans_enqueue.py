"""Spans of what a client sends, and what travels with a message. In one process,
with a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue.tracing import TaskAttributes
from fluxqueue_core import key
from opentelemetry.trace import SpanKind, StatusCode
from support.conventions import check
from support.telemetry import Recorded, id_of, links_of, parent_of
from support.traced_worker import TracedWorker


def test_an_async_call_without_a_loop_is_one_span(
    recorded: Recorded, client: FluxQueue, redis: Any
) -> None:
    @client.task()
    async def send() -> None: ...

    call = send()
    asyncio.run(call)
    assert len(recorded.spans("enqueue default")) == 1
    assert redis.llen(key("pending", "default")) == 1


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_bulk_call_has_a_span_for_each_message(
    way: str, recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task()
    def order(number: int) -> None: ...

    with (
        recorded.tracer.start_as_current_span("request"),
        TracedWorker(client, redis_url) as worker,
    ):
        send(order, way, [(n,) for n in range(3)])
        worker.wait_for_lines("task.done", 3)
    enqueue, creates = recorded.span("enqueue default"), recorded.spans("create default")
    attributes = check(recorded, enqueue, redis_url, task="order", kind=SpanKind.CLIENT)
    assert attributes["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes
    request = id_of(recorded.span("request"))
    ids = [check(recorded, c, redis_url, task="order")["messaging.message.id"] for c in creates]
    assert len(set(ids)) == 3
    assert {parent_of(c) for c in creates} == {request} and parent_of(enqueue) == request
    assert links_of(enqueue) == [id_of(c) for c in creates]
    processes = recorded.spans("process default")
    created = {id_of(c): (c.attributes or {})["messaging.message.id"] for c in creates}
    for process in processes:
        parent = parent_of(process)
        assert parent is not None
        assert (process.attributes or {})["messaging.message.id"] == created[parent]
    assert {parent_of(p) for p in processes} == set(created)


def send(task: Any, way: str, calls: list[tuple[Any, ...]]) -> None:
    if way == "sync":
        assert task.enqueue_many(calls) == len(calls)
    else:
        assert asyncio.run(task.enqueue_many_async(calls)) == len(calls)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_spans_of_messages_can_be_switched_off(
    way: str,
    recorded: Recorded,
    client: FluxQueue,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLUXQUEUE_OTEL_CREATE_SPANS", "off")

    @client.task()
    def order(number: int) -> None: ...

    with TracedWorker(client, redis_url) as worker:
        send(order, way, [(n,) for n in range(3)])
        worker.wait_for_lines("task.done", 3)
    enqueue = recorded.span("enqueue default")
    check(recorded, enqueue, redis_url, task="order", kind=SpanKind.PRODUCER)
    assert not recorded.spans("create default")
    assert {parent_of(p) for p in recorded.spans("process default")} == {id_of(enqueue)}


def test_a_call_that_fails_is_an_error(recorded: Recorded) -> None:
    client = FluxQueue("redis://127.0.0.1:1/0?timeout=0.2")

    @client.task()
    def order(number: int) -> None: ...

    @client.task()
    async def order_async() -> None: ...

    calls: list[Callable[[], object]] = [
        lambda: order(1),
        lambda: order.enqueue_many([(1,)]),
        lambda: asyncio.run(order_async()),
        lambda: asyncio.run(order.enqueue_many_async([(1,)])),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(BrokerUnavailable):
            call()
        span = recorded.spans("enqueue default")[-1]
        assert len(recorded.spans("enqueue default")) == number
        assert span.status.status_code is StatusCode.ERROR
        assert "not enqueued" in str(span.status.description)
        name = "fluxqueue_core.errors.BrokerUnavailable"
        assert (span.attributes or {})["error.type"] == name
        record = recorded.logs()[-1].log_record
        assert (record.event_name, record.severity_text) == ("messaging.send.exception", "WARN")


def test_baggage_travels_where_it_is_asked_for(
    recorded: Recorded, client: FluxQueue, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import baggage, context

    monkeypatch.setenv("FLUXQUEUE_OTEL_BAGGAGE", "yes")
    seen: list[object] = []

    @client.task()
    def order() -> None:
        seen.append(baggage.get_baggage("user"))

    token = context.attach(baggage.set_baggage("user", "ada"))
    try:
        order()
    finally:
        context.detach(token)
    with TracedWorker(client, redis_url) as worker:
        worker.wait_for_lines("task.done")
    assert seen == ["ada"]


def test_the_tracestate_of_vendors_goes_all_the_way(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    from opentelemetry import trace

    @client.task()
    def order() -> None:
        mail()

    @client.task()
    def mail() -> None: ...

    state = trace.TraceState([("vendor", "abc"), ("other", "1")])
    caller = trace.SpanContext(5, 6, True, trace.TraceFlags(1), state)
    with (
        trace.use_span(trace.NonRecordingSpan(caller)),
        TracedWorker(client, redis_url) as worker,
    ):
        order()
        worker.wait_for_lines("task.done", 2)
    assert len(recorded.spans()) == 6
    for span in recorded.spans():
        assert span.context is not None and span.context.trace_state == state, span.name
        for link in span.links:
            assert link.context.trace_state == state


def test_an_unsampled_trace_is_passed_on_and_not_recorded(
    client: FluxQueue, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(ratio=0.0, with_metrics=False, watch=False)
    recorded.install(monkeypatch)
    traces: list[int] = []

    @client.task()
    def order() -> None:
        with recorded.tracer.start_as_current_span("inside") as span:
            traces.append(span.get_span_context().trace_id)

    @client.task()
    async def order_async() -> None:
        order.func()

    with recorded.tracer.start_as_current_span("request") as request:
        order()
        asyncio.run(order_async())
        order.enqueue_many([(), ()])
    with TracedWorker(client, redis_url) as worker:
        worker.wait_for_lines("task.done", 4)
    assert traces == [request.get_span_context().trace_id] * 4
    assert not recorded.spans()


def test_calls_with_many_options_share_the_attributes_of_their_task(
    recorded: Recorded, client: FluxQueue
) -> None:
    """Each moment is another route, and an application may make one for each call."""

    @client.task()
    def send(number: int) -> None: ...

    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        made: list[str] = []
        init = TaskAttributes.__init__

        def counting(self: TaskAttributes, producer: Any, route: Any, **others: Any) -> None:
            made.append(route.name)
            init(self, producer, route, **others)

        patch.setattr(TaskAttributes, "__init__", counting)
        for number in range(5):
            send.options(eta=now + timedelta(hours=number)).enqueue(number)
        send.options(delay=60).enqueue(5)
        send(6)
    assert made == ["send"]
    assert [span.name for span in recorded.spans()] == ["enqueue default"] * 7
