"""Spans of a task's whole way, against a table written from the messaging
conventions of OpenTelemetry: names, kinds, attributes, and what a span has when
it is created. In one process, with a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue_core import key
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from support.telemetry import Recorded, id_of, links_of, parent_of, trace_of
from support.traced_worker import TracedWorker
from support.waiting import wait_until

# operation name → (operation type, kind of span, what else it must have at its creation)
CONVENTIONS: dict[str, tuple[str | None, SpanKind, set[str]]] = {
    "enqueue": ("send", SpanKind.PRODUCER, {"messaging.message.id"}),
    "create": ("create", SpanKind.PRODUCER, {"messaging.message.id"}),
    "process": (
        "process",
        SpanKind.CONSUMER,
        {"messaging.message.id", "messaging.fluxqueue.attempt"},
    ),
    "ack": ("settle", SpanKind.CLIENT, {"messaging.message.id"}),
    "retry": ("settle", SpanKind.CLIENT, {"messaging.message.id", "messaging.fluxqueue.delay"}),
    "dead": ("settle", SpanKind.CLIENT, {"messaging.message.id", "messaging.fluxqueue.reason"}),
    "release": ("settle", SpanKind.CLIENT, {"messaging.message.id"}),
}


def check(
    recorded: Recorded,
    span: ReadableSpan,
    url: str,
    *,
    task: str,
    kind: SpanKind | None = None,
    queue: str = "default",
) -> dict[str, Any]:
    """Compares a span with the table; returns its attributes."""
    operation = span.name.removesuffix(f" {queue}")
    operation_type, usual_kind, more = CONVENTIONS[operation]
    address = urlsplit(url)
    at_creation = {
        "messaging.system": "fluxqueue",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation_type,
        "messaging.destination.name": queue,
        "server.address": address.hostname,
        "server.port": address.port,
        "messaging.fluxqueue.task.name": task,
    }
    shown = recorded.shown(span.name)
    assert at_creation.items() <= shown.items()
    if kind is None:
        assert more <= shown.keys()
    assert span.name == f"{operation} {queue}"
    assert span.kind is (kind or usual_kind)
    attributes = dict(span.attributes or {})
    assert at_creation.items() <= attributes.items()
    assert ("error.type" in attributes) is (span.status.status_code is StatusCode.ERROR)
    if span.status.status_code is not StatusCode.ERROR:
        assert span.status.status_code is StatusCode.UNSET
    assert ("messaging.batch.message_count" in attributes) is (kind is not None)
    return attributes


def test_a_sync_task_from_call_to_ack(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    inside: list[int] = []

    @client.task()
    def order(number: int) -> None:
        with recorded.tracer.start_as_current_span("inside"):
            inside.append(number)

    with (
        recorded.tracer.start_as_current_span("request"),
        TracedWorker(client, redis_url) as worker,
    ):
        order(7)
        worker.wait_for_lines("task.done")
    request, enqueue, process, ack = (
        recorded.span(name)
        for name in ("request", "enqueue default", "process default", "ack default")
    )
    sent = check(recorded, enqueue, redis_url, task="order")
    got = check(recorded, process, redis_url, task="order")
    settled = check(recorded, ack, redis_url, task="order")
    assert sent["messaging.message.id"] == got["messaging.message.id"]
    assert sent["messaging.message.id"] == settled["messaging.message.id"]
    assert got["messaging.fluxqueue.attempt"] == 1
    assert "messaging.fluxqueue.deliveries" not in got
    assert parent_of(enqueue) == id_of(request)
    assert parent_of(process) == id_of(enqueue) and links_of(process) == [id_of(enqueue)]
    assert parent_of(ack) == id_of(process)
    assert parent_of(recorded.span("inside")) == id_of(process)
    assert {trace_of(span) for span in recorded.spans()} == {trace_of(request)}
    assert len(recorded.spans()) == 5 and inside == [7]


def test_an_async_task_from_call_to_ack(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task(queue="mail")
    async def send() -> None:
        async def child() -> None:
            with recorded.tracer.start_as_current_span("inside"):
                await asyncio.sleep(0)

        await asyncio.create_task(child())

    async def call() -> None:
        with recorded.tracer.start_as_current_span("request"):
            await send()

    with TracedWorker(client, redis_url) as worker:
        asyncio.run(call())
        asyncio.run(call())
        worker.wait_for_lines("task.done", 2)
    for request in recorded.spans("request"):
        spans = {s.name: s for s in recorded.spans() if trace_of(s) == trace_of(request)}
        assert set(spans) == {"request", "enqueue mail", "process mail", "ack mail", "inside"}
        for name in ("enqueue mail", "process mail", "ack mail"):
            check(recorded, spans[name], redis_url, task="send", queue="mail")
        assert parent_of(spans["enqueue mail"]) == id_of(request)
        assert parent_of(spans["process mail"]) == id_of(spans["enqueue mail"])
        assert parent_of(spans["inside"]) == id_of(spans["process mail"])


def test_an_async_call_without_a_loop_is_one_span(
    recorded: Recorded, client: FluxQueue, redis: Any
) -> None:
    @client.task()
    async def send() -> None: ...

    call = send()
    asyncio.run(call)
    assert len(recorded.spans("enqueue default")) == 1
    assert redis.llen(key("pending", "default")) == 1


def test_a_failure_is_retried_in_its_trace_and_ends_dead(
    recorded: Recorded, client: FluxQueue, redis_url: str, redis: Any
) -> None:
    @client.task(max_retries=1, retry_delay=60)
    def fails() -> None:
        raise ValueError("no good")

    with TracedWorker(client, redis_url) as worker:
        fails()
        worker.wait_for_lines("task.retry")
        wait_until(lambda: redis.zcard(key("delayed", "default")) == 1, what="the retry")
        promote_now(redis)
        worker.wait_for_lines("task.dead")
    first, second = recorded.spans("process default")
    retry, dead = recorded.span("retry default"), recorded.span("dead default")
    enqueue = recorded.span("enqueue default")
    assert {trace_of(s) for s in recorded.spans()} == {trace_of(enqueue)}
    assert parent_of(first) == parent_of(second) == id_of(enqueue)
    assert (parent_of(retry), parent_of(dead)) == (id_of(first), id_of(second))
    for number, span in enumerate((first, second), 1):
        attributes = check(recorded, span, redis_url, task="fails")
        assert attributes["messaging.fluxqueue.attempt"] == number
        assert attributes["error.type"] == "ValueError"
        assert span.status.description == "no good"
    assert 30 <= check(recorded, retry, redis_url, task="fails")["messaging.fluxqueue.delay"] <= 60
    reason = check(recorded, dead, redis_url, task="fails")["messaging.fluxqueue.reason"]
    assert reason == "failed"


def promote_now(redis: Any) -> None:
    """What the scheduler does, without waiting for the time."""
    for message in redis.zrange(key("delayed", "default"), 0, -1):
        redis.lpush(key("pending", "default"), message)
        redis.zrem(key("delayed", "default"), message)


@pytest.mark.parametrize(
    ("opt_in", "on_span"), [("", True), ("logs/dup", True), ("logs", False), ("LOGS", False)]
)
def test_an_exception_is_a_log_event(
    opt_in: str,
    on_span: bool,
    recorded: Recorded,
    client: FluxQueue,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opt_in)

    @client.task(max_retries=0)
    def fails() -> None:
        raise ValueError("no good")

    with TracedWorker(client, redis_url) as worker:
        fails()
        worker.wait_for_lines("task.dead")
    process = recorded.span("process default")
    (record,) = recorded.logs()
    assert record.log_record.event_name == "messaging.process.exception"
    assert record.log_record.severity_text == "ERROR"
    assert record.log_record.span_id == id_of(process)
    attributes = dict(record.log_record.attributes or {})
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "no good"
    stacktrace = str(attributes["exception.stacktrace"])
    assert stacktrace.rstrip().endswith("ValueError: no good") and "threads.py" not in stacktrace
    assert [event.name for event in process.events] == (["exception"] if on_span else [])


def test_arguments_that_do_not_fit_are_the_reason(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task()
    def takes_one(number: int) -> None: ...

    with TracedWorker(client, redis_url) as worker:
        from fluxqueue.fluxqueue_core import FluxQueueCore

        FluxQueueCore(redis_url)._enqueue("takes_one", "default", 3)
        worker.wait_for_lines("task.dead")
    dead = check(recorded, recorded.span("dead default"), redis_url, task="takes_one")
    assert dead["messaging.fluxqueue.reason"] == "arguments"


def test_what_still_runs_at_the_end_is_released(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    import threading

    begun, go_on = threading.Event(), threading.Event()

    @client.task()
    def long() -> None:
        begun.set()
        assert go_on.wait(30)

    with TracedWorker(client, redis_url) as worker:
        long()
        assert begun.wait(30)
        worker.consumer.drain()
        running = worker.pool.running()
        worker.outcomes.releasing = True
        worker.consumer.release_running()
        for job, started in running:
            worker.outcomes.log_released(job, started)
        go_on.set()
    release = recorded.span("release default")
    check(recorded, release, redis_url, task="long")
    assert parent_of(release) == id_of(recorded.span("process default"))


def test_an_unknown_task_is_released_in_its_trace(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task()
    def known() -> None: ...

    with TracedWorker(client, redis_url) as worker:
        from fluxqueue.fluxqueue_core import FluxQueueCore

        FluxQueueCore(redis_url)._enqueue("strange", "default", 3)
        worker.wait_for_event("unknown_task")
    release, enqueue = recorded.spans("release default")[0], recorded.span("enqueue default")
    attributes = check(recorded, release, redis_url, task="strange")
    assert attributes["messaging.fluxqueue.reason"] == "unknown_task"
    assert attributes["messaging.fluxqueue.delay"] > 0
    assert parent_of(release) == id_of(enqueue) and links_of(release) == [id_of(enqueue)]


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


def test_processing_can_be_linked_only(
    recorded: Recorded, client: FluxQueue, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXQUEUE_OTEL_PROCESS_PARENT", "link")

    @client.task()
    def order() -> None: ...

    with TracedWorker(client, redis_url) as worker:
        order()
        worker.wait_for_lines("task.done")
    enqueue, process = recorded.span("enqueue default"), recorded.span("process default")
    assert parent_of(process) is None and trace_of(process) != trace_of(enqueue)
    assert links_of(process) == [id_of(enqueue)]


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
