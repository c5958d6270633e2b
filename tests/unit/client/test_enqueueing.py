"""The seam around an enqueue: which way a call takes, and when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import ConfigurationError
from fluxqueue.broker import Broker
from fluxqueue.bulk import BulkCalls
from fluxqueue.enqueue_interface import Bulk
from fluxqueue.enqueueing import Enqueueing
from fluxqueue.fluxqueue_core import FluxQueueCore
from fluxqueue.options import Terms
from fluxqueue.task import AsyncTask, Task
from fluxqueue_core import Route
from opentelemetry import trace
from support.telemetry import Recorded

ROUTE = Route("default", "order")


class KeepingProducer:
    """Keeps what it is given instead of sending it.

    Attributes:
        sent: the headers of each message, in order; None without.
    """

    server = ("127.0.0.1", 6379)
    namespace = ""

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []

    def enqueue(
        self,
        route: Route,
        args: Any,
        kwargs: Any,
        headers: Any = None,
        task_id: Any = None,
        lock: Any = None,
        limit: Any = None,
    ) -> None:
        self.sent.append(headers)

    def enqueue_async(
        self,
        route: Route,
        args: Any,
        kwargs: Any,
        headers: Any = None,
        task_id: Any = None,
        result: Any = None,
        lock: Any = None,
        limit: Any = None,
    ) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self.sent.append(headers)
        future.set_result(result)
        return future

    def enqueue_many(
        self, route: Route, calls: Any, check: Any, per_call: Any = None, **_: Any
    ) -> int:
        calls = list(calls)
        self.sent += [None if per_call is None else per_call(None, None)[0] for _ in calls]
        return len(calls)

    def enqueue_chunk_async(
        self, route: Route, calls: Any, check: Any, per_call: Any = None, **_: Any
    ) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self.enqueue_many(route, calls, check, per_call)
        future.set_result(None)
        return future


def order() -> None: ...


async def order_async() -> None: ...


def sync_task(producer: Any) -> Task[..., Any]:
    task: Task[..., Any] = Task(order, producer, ROUTE, Terms(max_retries=3))
    Broker("redis://127.0.0.1:1").add(task)
    return task


def async_task(producer: Any) -> AsyncTask[..., Any]:
    task: AsyncTask[..., Any] = AsyncTask(order_async, producer, ROUTE, Terms(max_retries=3))
    Broker("redis://127.0.0.1:1").add(task)
    return task


def call(producer: Any) -> Callable[[], object]:
    return sync_task(producer)


def call_async(producer: Any) -> Callable[[], object]:
    task = async_task(producer)

    async def send() -> None:
        await task()

    return lambda: asyncio.run(send())


def call_outside_of_a_loop(producer: Any) -> Callable[[], object]:
    task = async_task(producer)
    return lambda: asyncio.run(task())


def id_of_a_call(producer: Any) -> Callable[[], object]:
    task = async_task(producer)
    return lambda: task.enqueue()


def id_of_a_call_async(producer: Any) -> Callable[[], object]:
    task = sync_task(producer)

    async def send() -> None:
        await task.enqueue_async()

    return lambda: asyncio.run(send())


def bulk(producer: Any) -> Callable[[], object]:
    task = sync_task(producer)
    return lambda: task.enqueue_many([()])


def bulk_async(producer: Any) -> Callable[[], object]:
    task = sync_task(producer)
    return lambda: asyncio.run(task.enqueue_many_async([()]))


def by_name(producer: Any) -> Callable[[], object]:
    core = FluxQueueCore("redis://127.0.0.1:1")
    core._enqueueing = Enqueueing(producer)
    return lambda: core._enqueue("order", "default", 3)


def by_name_async(producer: Any) -> Callable[[], object]:
    core = FluxQueueCore("redis://127.0.0.1:1")
    core._enqueueing = Enqueueing(producer)

    async def send() -> None:
        await core._enqueue_async("order", "default", 3)

    return lambda: asyncio.run(send())


WAYS = [
    call,
    call_async,
    call_outside_of_a_loop,
    id_of_a_call,
    id_of_a_call_async,
    bulk,
    bulk_async,
    by_name,
    by_name_async,
]


@pytest.mark.parametrize("make", WAYS, ids=lambda make: make.__name__)
def test_every_kind_of_call_follows_the_sdk_that_is_set(
    make: Callable[[Any], Callable[[], object]],
) -> None:
    producer = KeepingProducer()
    send = make(producer)
    send()
    with pytest.MonkeyPatch.context() as patch:
        recorded = Recorded()
        recorded.install(patch)
        send()
        assert [span.name for span in recorded.spans()][-1] == "enqueue default"
    send()
    before, with_sdk, after = producer.sent
    assert before is None and after is None
    assert with_sdk is not None and b'"traceparent":"00-' in with_sdk


def test_another_provider_is_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    producer: Any = KeepingProducer()
    enqueueing = Enqueueing(producer)
    ways = []
    for _ in range(2):
        Recorded().install(monkeypatch)
        ways.append(enqueueing.way())
        assert enqueueing.way() is ways[-1]
    assert ways[0] is not ways[1]
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    assert enqueueing.way() is enqueueing.plain


def test_the_plain_way_is_the_producers_own_methods() -> None:
    producer: Any = KeepingProducer()
    plain = Enqueueing(producer).plain
    assert plain.enqueue == producer.enqueue
    assert plain.enqueue_async == producer.enqueue_async
    assert plain.bulk(ROUTE).per_call is None


def test_a_wrong_variable_is_an_error_of_each_call_until_it_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    producer = KeepingProducer()
    send = call(producer)
    Recorded().install(monkeypatch)
    monkeypatch.setenv("FLUXQUEUE_OTEL_BAGGAGE", "maybe")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="neither yes"):
            send()
    monkeypatch.delenv("FLUXQUEUE_OTEL_BAGGAGE")
    send()
    assert len(producer.sent) == 1


def test_a_bulk_call_reports_its_end_or_its_error_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    class Watched(Bulk):
        def end(self) -> None:
            seen.append("end")

        def failed(self, error: BaseException) -> None:
            seen.append(error)

    producer: Any = KeepingProducer()
    task = sync_task(producer)
    task._enqueueing.plain.bulk = lambda route: Watched()
    calls = BulkCalls(task, ROUTE, {})
    assert calls.send([(), ()]) == 2
    failure = KeyboardInterrupt()

    def interrupted() -> Any:
        yield ()
        raise failure

    with pytest.raises(KeyboardInterrupt):
        calls.send(interrupted())
    assert seen == ["end", failure]
