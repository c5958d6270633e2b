"""Spans of a task's whole way, against the messaging conventions of OpenTelemetry.
In one process, with a real Redis."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import Event, key
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode
from support.conventions import check
from support.telemetry import Recorded, id_of, links_of, parent_of, trace_of
from support.traced_worker import TracedWorker
from support.waiting import wait_until


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
    """Promotes as the scheduler does, without waiting for the time."""
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


def test_a_task_that_still_runs_at_the_end_is_released(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
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
        worker.consumer.release_running([attempt for attempt, _ in running])
        for attempt, started in running:
            worker.outcomes.released(attempt, started)
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
        worker.wait_for_event(Event.UnknownTask)
    release, enqueue = recorded.spans("release default")[0], recorded.span("enqueue default")
    attributes = check(recorded, release, redis_url, task="strange")
    assert attributes["messaging.fluxqueue.reason"] == "unknown_task"
    assert attributes["messaging.fluxqueue.delay"] > 0
    assert parent_of(release) == id_of(enqueue) and links_of(release) == [id_of(enqueue)]


def test_a_task_that_has_expired_ends_in_its_trace(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task(expires=0.001)
    def late() -> None: ...

    late()
    time.sleep(0.01)
    with TracedWorker(client, redis_url) as worker:
        worker.wait_for_event(Event.Expired)
    (expire,), enqueue = recorded.spans("expire default"), recorded.span("enqueue default")
    check(recorded, expire, redis_url, task="late")
    assert parent_of(expire) == id_of(enqueue) and links_of(expire) == [id_of(enqueue)]
    assert [p.value for p in recorded.points("fluxqueue.tasks.expired")] == [1]


def test_a_task_may_do_all_to_its_span_also_from_its_threads(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    def touch(key: str) -> None:
        span = trace.get_current_span()
        span.set_attribute(key, 1)
        span.add_event(key)
        span.update_name(f"{key} renamed")
        span.record_exception(ValueError(key))
        span.set_status(StatusCode.ERROR, key)

    @client.task()
    def sync() -> None:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(touch, "thread"))
        thread.start()
        thread.join()
        touch("sync")

    @client.task()
    async def coroutine() -> None:
        await asyncio.gather(asyncio.to_thread(touch, "thread"), asyncio.sleep(0))
        touch("async")

    @client.task()
    async def other() -> None:
        await asyncio.sleep(0.01)

    with TracedWorker(client, redis_url) as worker:
        sync()
        for call in (coroutine(), other()):
            asyncio.run(call)
        worker.wait_for_lines("task.done", 3)
    for name in ("sync", "async"):
        span = recorded.span(f"{name} renamed")
        attributes = span.attributes or {}
        assert attributes["thread"] == attributes[name] == 1
        assert attributes["messaging.operation.name"] == "process"
        events = [event.name for event in span.events]
        assert events == ["thread", "exception", name, "exception"]
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, name)
    assert not recorded.span("process default").events
    assert len(recorded.spans("ack default")) == 3


class Broken(SpanProcessor):
    """Fails whenever it is asked."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken at the start")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("broken at the end")


class BrokenAtTheEnd(Broken):
    on_start = SpanProcessor.on_start


@pytest.mark.parametrize("broken", [Broken, BrokenAtTheEnd])
def test_a_processor_that_fails_fails_no_task(
    broken: type[Broken],
    recorded: Recorded,
    client: FluxQueue,
    redis_url: str,
    redis: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("fluxqueue_core.telemetry.instruments._has_failed", False)
    recorded.tracers.add_span_processor(broken())
    ran: list[str] = []

    @client.task(max_retries=0)
    def order(good: bool) -> None:
        ran.append("sync")
        if not good:
            raise ValueError("no good")

    @client.task()
    async def mail() -> None:
        ran.append("async")

    with TracedWorker(client, redis_url) as worker:
        order(True)
        order(False)
        order.enqueue_many([(True,)])
        asyncio.run(mail())
        worker.wait_for_lines("task.done", 3)
        worker.wait_for_lines("task.dead")
    assert sorted(ran) == ["async", "sync", "sync", "sync"]
    stats = redis.hmget(key("stats", "default"), "succeeded", "dead")
    assert stats == [b"3", b"1"]
    (line,) = [r for r in caplog.records if "telemetry has failed" in r.message]
    assert line.exc_info is not None and "broken at the" in str(line.exc_info[1])


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
