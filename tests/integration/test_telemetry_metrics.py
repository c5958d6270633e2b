"""Metrics of client, worker and scheduler, through an SDK in memory."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Event, Settings, key
from fluxqueue_scheduler import telemetry as scheduler_telemetry
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.queues import RegisteredQueues
from fluxqueue_scheduler.shard import Reader
from support.scripts import Scripts, message
from support.telemetry import Recorded
from support.traced_worker import TracedWorker

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def by_operation(points: list[Any]) -> dict[tuple[Any, Any], Any]:
    """The points by operation and `error.type`."""
    return {
        (p.attributes.get("messaging.operation.name"), p.attributes.get("error.type")): p
        for p in points
    }


def test_the_four_of_the_conventions(recorded: Recorded, client: FluxQueue, redis_url: str) -> None:
    @client.task(max_retries=0)
    def order(good: bool) -> None:
        if not good:
            raise ValueError("no good")

    with TracedWorker(client, redis_url) as worker:
        order.enqueue_many([(True,), (True,)])
        order(False)
        worker.wait_for_lines("task.done", 2)
        worker.wait_for_lines("task.dead")
        assert [p.value for p in recorded.points("fluxqueue.worker.slots")] == [4]
        assert [p.value for p in recorded.points("fluxqueue.worker.slots.busy")] == [0]
    sent = by_operation(recorded.points("messaging.client.sent.messages"))
    assert {k: p.value for k, p in sent.items()} == {("enqueue", None): 3}
    consumed = by_operation(recorded.points("messaging.client.consumed.messages"))
    assert {k: p.value for k, p in consumed.items()} == {("process", None): 3}
    process = by_operation(recorded.points("messaging.process.duration"))
    assert {k: p.count for k, p in process.items()} == {
        ("process", None): 2,
        ("process", "ValueError"): 1,
    }
    operations = by_operation(recorded.points("messaging.client.operation.duration"))
    assert {k: p.count for k, p in operations.items()} == {
        ("enqueue", None): 2,
        ("ack", None): 2,
        ("dead", None): 1,
    }
    for point in (*process.values(), *operations.values()):
        assert tuple(point.explicit_bounds) == BUCKETS
        assert point.attributes["messaging.system"] == "fluxqueue"
        assert point.attributes["messaging.destination.name"] == "default"
        assert point.attributes["server.address"] == "127.0.0.1"
    # Which have a type of operation, by the conventions, and which have not.
    types = {
        name: point.attributes.get("messaging.operation.type")
        for (name, _), point in {**process, **operations}.items()
    }
    assert types == {"process": None, "enqueue": "send", "ack": "settle", "dead": "settle"}
    for point in (*sent.values(), *consumed.values()):
        assert "messaging.operation.type" not in point.attributes
    for point in (*sent.values(), *consumed.values(), *process.values(), *operations.values()):
        assert "messaging.client.id" not in point.attributes
    # An attempt takes as long as its span, which ends when it is settled.
    settled = sum(operations[name, None].sum for name in ("ack", "dead"))
    assert sum(point.sum for point in process.values()) >= settled
    (wait,) = recorded.points("fluxqueue.task.wait.duration")
    assert wait.count == 3 and 0 <= wait.sum < 60


# The tables of docs/telemetry.md, as an exporter sees them: kind, unit, whether it only grows.
GROWS, VARIES, GAUGE, HISTOGRAM = ("Sum", True), ("Sum", False), ("Gauge", None), "Histogram"
CATALOGUE = {
    "messaging.client.sent.messages": (*GROWS, "{message}"),
    "messaging.client.consumed.messages": (*GROWS, "{message}"),
    "messaging.client.operation.duration": (HISTOGRAM, None, "s"),
    "messaging.process.duration": (HISTOGRAM, None, "s"),
    "fluxqueue.task.wait.duration": (HISTOGRAM, None, "s"),
    "fluxqueue.task.retries": (*GROWS, "{task}"),
    "fluxqueue.worker.leases_lost": (*GROWS, "{lease}"),
    "fluxqueue.tasks.expired": (*GROWS, "{task}"),
    "fluxqueue.tasks.cancelled": (*GROWS, "{task}"),
    "fluxqueue.worker.slots": (*VARIES, "{task}"),
    "fluxqueue.worker.slots.busy": (*VARIES, "{task}"),
    "fluxqueue.worker.tasks.stuck": (*VARIES, "{task}"),
    "fluxqueue.queue.depth": (*GAUGE, "{task}"),
    "fluxqueue.queue.suspects": (*GAUGE, "{task}"),
    "fluxqueue.queue.delayed": (*GAUGE, "{task}"),
    "fluxqueue.queue.claimed": (*GAUGE, "{task}"),
    "fluxqueue.queue.dead": (*GAUGE, "{task}"),
    "fluxqueue.tasks.promoted": (*GROWS, "{task}"),
    "fluxqueue.tasks.rescued": (*GROWS, "{task}"),
    "fluxqueue.rescue.duration": (HISTOGRAM, None, "s"),
}


def test_every_metric_has_its_kind_and_unit(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task(retry_delay=60)
    def fails() -> None:
        raise ValueError

    scheduler = scheduler_telemetry.set_up(Settings(redis_url), serves_metrics=False)
    assert scheduler is not None
    tracing = scheduler.tracing
    with TracedWorker(client, redis_url) as worker:
        fails()
        worker.wait_for_lines("task.retry")
        worker.telemetry.happened("default", Event.LeaseLost(consumer="c", running=1))
        worker.telemetry.happened("default", Event.Expired("t", "n", None))
        worker.telemetry.happened("default", Event.Cancelled("t", "n", None))
        queues = RegisteredQueues(ErrorLog())
        reader = Reader(RedisClient(Settings(redis_url), 2), queues)
        queues.refresh(reader.client)
        scheduler.watch(lambda: [reader])
        tracing.promoted("default", 1, [], 0)
        tracing.rescued("default", 1)
        tracing.rescue_took("default", 1.5)
        found = {
            metric.name: (
                type(metric.data).__name__,
                getattr(metric.data, "is_monotonic", None),
                metric.unit,
            )
            for metric in recorded.metrics()
        }
        reader.client.close()
    assert found == CATALOGUE


def test_a_call_that_fails_counts_with_its_error(recorded: Recorded) -> None:
    client = FluxQueue("redis://127.0.0.1:1/0?timeout=0.1")

    @client.task()
    def order() -> None: ...

    with pytest.raises(BrokerUnavailable):
        order()
    (sent,) = recorded.points("messaging.client.sent.messages")
    assert sent.value == 1
    assert sent.attributes["error.type"] == "fluxqueue_core.errors.BrokerUnavailable"


def test_retries_and_lost_leases_are_counted(
    recorded: Recorded, client: FluxQueue, redis_url: str
) -> None:
    @client.task(retry_delay=60)
    def fails() -> None:
        raise ValueError

    with TracedWorker(client, redis_url) as worker:
        fails()
        worker.wait_for_lines("task.retry")
        worker.telemetry.happened("default", Event.LeaseLost(consumer="c", running=1))
    assert [p.value for p in recorded.points("fluxqueue.task.retries")] == [1]
    assert [p.value for p in recorded.points("fluxqueue.worker.leases_lost")] == [1]


def test_the_scheduler_shows_how_long_the_queues_are(
    recorded: Recorded, scripts: Scripts, redis_url: str, redis: Any
) -> None:
    redis.sadd(key("queues"), "q", "broken")
    redis.set(key("pending", "broken"), "no list")
    scripts.claim("alive", message(1), message(2))
    scripts.enqueue(message(3))
    redis.zadd(key("delayed", "q"), {message(n): 9e15 for n in (4, 5, 6)})
    redis.zadd(key("dead", "q"), {"entry": 1})
    found = scheduler_telemetry.set_up(Settings(redis_url), serves_metrics=False)
    assert found is not None
    queues = RegisteredQueues(ErrorLog())
    reader = Reader(RedisClient(Settings(redis_url), 2), queues)
    found.watch(lambda: [reader])
    queues.refresh(reader.client)
    expected = {"depth": 1, "suspects": 0, "delayed": 3, "claimed": 2, "dead": 1}
    for name, value in expected.items():
        points = recorded.points(f"fluxqueue.queue.{name}")
        values = {p.attributes["messaging.destination.name"]: p.value for p in points}
        assert values["q"] == value, name
        assert ("broken" in values) is (name != "depth")
    redis.delete(key("pending", "broken"))
    reader.client.close()


def test_the_queues_are_left_out_while_redis_is_down(recorded: Recorded) -> None:
    settings = Settings("redis://127.0.0.1:1")
    found = scheduler_telemetry.set_up(settings, serves_metrics=False)
    assert found is not None
    queues = RegisteredQueues(ErrorLog())
    queues.names = ("q",)
    found.watch(lambda: [Reader(RedisClient(settings, 2), queues)])
    assert recorded.points("fluxqueue.queue.depth") == []
