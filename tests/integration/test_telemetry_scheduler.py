"""The scheduler's spans, with links to the traces of the tasks that it moved."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key, parse_message
from fluxqueue_core.telemetry import instruments
from fluxqueue_scheduler import telemetry
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.promote import Promoter
from fluxqueue_scheduler.queues import RegisteredQueues
from fluxqueue_scheduler.rescue import Rescue
from fluxqueue_scheduler.tracing import MOST_LINKS, Tracing
from opentelemetry.trace import SpanKind
from support.scripts import Scripts
from support.telemetry import Recorded, id_of, links_of, parent_of, trace_of

QUEUE = "q"


@pytest.fixture
def tracing(recorded: Recorded, redis_url: str) -> Tracing:
    found = telemetry.set_up(Settings(redis_url), serves_metrics=False)
    assert found is not None
    return found.tracing


@pytest.fixture
def traced_messages(recorded: Recorded, redis_url: str, redis: Any) -> Any:
    """Makes messages of `count` calls, each with its own trace."""

    def make(count: int, size: int = 1) -> list[bytes]:
        client = FluxQueue(redis_url)
        task = client.task(name="order", queue=QUEUE)(lambda number, text: None)
        for number in range(count):
            task(number, "x" * size)
        pending = redis.lrange(key("pending", QUEUE), 0, -1)
        redis.delete(key("pending", QUEUE))
        redis.sadd(key("queues"), QUEUE)
        messages: list[bytes] = pending[::-1]
        return messages

    return make


def promote(redis_url: str, tracing: Tracing) -> None:
    client = RedisClient(Settings(redis_url), 5)
    error_log = ErrorLog()
    Promoter(client, RegisteredQueues(error_log), error_log, tracing).step()
    client.close()


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


def test_one_promoted_task_stays_in_its_trace(
    recorded: Recorded, tracing: Tracing, traced_messages: Any, redis_url: str, redis: Any
) -> None:
    (message,) = traced_messages(1)
    redis.zadd(key("delayed", QUEUE), {message: 1})
    promote(redis_url, tracing)
    assert redis.lrange(key("pending", QUEUE), 0, -1) == [message]
    enqueue, span = recorded.span("enqueue q"), recorded.span("promote q")
    assert span.kind is SpanKind.INTERNAL
    assert (parent_of(span), links_of(span)) == (id_of(enqueue), [id_of(enqueue)])
    assert recorded.shown("promote q") == attributes(span)
    assert attributes(span) == {
        "messaging.system": "fluxqueue",
        "messaging.operation.name": "promote",
        "messaging.destination.name": QUEUE,
        "messaging.message.id": parse_message(message)["task_id"],
        "messaging.client.id": instruments.client_id(),
        "server.address": "127.0.0.1",
        "server.port": int(redis_url.rpartition(":")[2].partition("/")[0]),
    }
    assert span.start_time is not None and span.end_time is not None
    assert span.start_time < span.end_time


def test_many_promoted_tasks_are_linked_up_to_a_bound(
    recorded: Recorded, tracing: Tracing, traced_messages: Any, redis_url: str, redis: Any
) -> None:
    messages = traced_messages(MOST_LINKS + 3)
    redis.zadd(key("delayed", QUEUE), dict.fromkeys(messages, 1))
    promote(redis_url, tracing)
    span = recorded.span("promote q")
    assert parent_of(span) is None
    created = {id_of(s) for s in recorded.spans("enqueue q")}
    assert len(links_of(span)) == MOST_LINKS and set(links_of(span)) <= created
    assert attributes(span)["messaging.batch.message_count"] == MOST_LINKS + 3
    (point,) = recorded.points("fluxqueue.tasks.promoted")
    assert point.value == MOST_LINKS + 3


def test_large_messages_are_moved_without_a_link(
    recorded: Recorded, tracing: Tracing, traced_messages: Any, redis_url: str, redis: Any
) -> None:
    messages = traced_messages(1, size=5_000)
    redis.zadd(key("delayed", QUEUE), dict.fromkeys(messages, 1))
    promote(redis_url, tracing)
    assert redis.llen(key("pending", QUEUE)) == 1
    assert not recorded.spans("promote q")


def test_messages_without_a_trace_make_no_span(
    recorded: Recorded, tracing: Tracing, redis_url: str, redis: Any
) -> None:
    redis.sadd(key("queues"), QUEUE)
    redis.zadd(key("delayed", QUEUE), {b"garbage": 1})
    promote(redis_url, tracing)
    assert redis.llen(key("pending", QUEUE)) == 1
    assert not recorded.spans()


def test_a_rescue_is_linked_to_what_it_moved(
    recorded: Recorded,
    tracing: Tracing,
    traced_messages: Any,
    scripts: Scripts,
    redis_url: str,
) -> None:
    scripts.claim("lost", *traced_messages(2))
    scripts.be_swept()
    scripts.end_lease("lost")
    client = RedisClient(Settings(redis_url), 5)
    options = Options(lease=1000.0)
    rescue = Rescue(QUEUE, "lost", options, tracing.rescue(QUEUE, "lost"))
    while rescue.step(client):
        pass
    client.close()
    assert scripts.is_tombstone("lost")
    span = recorded.span("rescue q")
    creations = recorded.spans("enqueue q")
    assert set(links_of(span)) == {id_of(s) for s in creations}
    assert trace_of(span) not in {trace_of(s) for s in creations}
    assert (
        recorded.shown("rescue q").items()
        >= {
            "messaging.operation.name": "rescue",
            "messaging.fluxqueue.consumer": "lost",
            "messaging.fluxqueue.reason": "worker_lost",
            "messaging.batch.message_count": 2,
        }.items()
    )
    (rescued,) = recorded.points("fluxqueue.tasks.rescued")
    (took,) = recorded.points("fluxqueue.rescue.duration")
    assert rescued.value == 2
    assert took.count == 1 and took.sum >= 0
