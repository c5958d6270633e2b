"""Spans and metrics of two applications in one Redis can be told apart."""

from __future__ import annotations

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings
from fluxqueue_scheduler import telemetry
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.promote import Promoter
from fluxqueue_scheduler.queues import RegisteredQueues
from support.telemetry import Recorded
from support.traced_worker import TracedWorker
from support.waiting import wait_until

NAMESPACE = "messaging.fluxqueue.namespace"


def test_client_worker_and_scheduler_name_the_namespace(
    recorded: Recorded, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, shop = FluxQueue(redis_url, namespace=""), FluxQueue(redis_url, namespace="shop")
    for app in (plain, shop):

        @app.task(retry_delay=0)
        def order() -> None:
            raise ValueError

        order()
    sent = recorded.points("messaging.client.sent.messages")
    assert {(p.attributes.get(NAMESPACE), p.value) for p in sent} == {(None, 1), ("shop", 1)}
    monkeypatch.setenv("FLUXQUEUE_NAMESPACE", "shop")
    settings = Settings(redis_url)
    with TracedWorker(shop, redis_url) as worker:
        worker.wait_for_lines("task.retry")
        set_up = telemetry.set_up(settings, serves_metrics=False)
        assert set_up is not None
        client, error_log = RedisClient(settings, 5), ErrorLog()
        queues = RegisteredQueues(error_log)
        promoter = Promoter(client, queues, error_log, set_up.tracing)

        def is_promoted() -> bool:
            promoter.step()
            return bool(recorded.spans("promote default"))

        wait_until(is_promoted)
        client.close()
    for operation in ("process", "retry", "promote"):
        for span in recorded.spans(f"{operation} default"):
            assert (span.attributes or {})[NAMESPACE] == "shop"
    enqueued = recorded.spans("enqueue default")
    assert [(span.attributes or {}).get(NAMESPACE) for span in enqueued] == [None, "shop"]
    for name in ("messaging.client.consumed.messages", "fluxqueue.tasks.promoted"):
        assert {point.attributes[NAMESPACE] for point in recorded.points(name)} == {"shop"}
