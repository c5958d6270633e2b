"""The middleware for Prometheus: names, labels, and that the number of series is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue.middleware import EnqueueCall, EnqueueOutcome
from fluxqueue.prometheus import PrometheusMiddleware
from prometheus_client import CollectorRegistry

Run = Callable[..., Any]


def work(number: int = 0) -> None:
    if number:
        raise ValueError(number)


async def work_async(number: int = 0) -> None:
    await asyncio.sleep(0)
    work(number)


@pytest.mark.parametrize("func", [work, work_async], ids=["sync", "async"])
def test_attempts_are_counted_by_status(func: Any, run: Run) -> None:
    registry = CollectorRegistry()
    counting = PrometheusMiddleware(registry, buckets=[0.5, 10])
    run(func, counting)
    run(func, counting)
    run(func, counting, args=(1,))
    run(func, counting, args=(1,), retries=3)
    labels = {"queue": "default", "task": "task"}

    def value(name: str, **more: str) -> float | None:
        return registry.get_sample_value(name, {**labels, **more})

    labels["task"] = func.__name__
    counts = {
        status: value("fluxqueue_app_attempts_total", status=status)
        for status in ("succeeded", "retried", "dead", "snoozed")
    }
    assert counts == {"succeeded": 2, "retried": 1, "dead": 1, "snoozed": None}
    assert value("fluxqueue_app_attempt_seconds_count") == 4
    assert value("fluxqueue_app_attempt_seconds_bucket", le="10.0") == 4
    assert value("fluxqueue_app_attempts_running") == 0


def test_calls_are_counted_by_result() -> None:
    registry = CollectorRegistry()
    counting = PrometheusMiddleware(registry)
    for outcome in (
        EnqueueOutcome("id", is_new=True),
        EnqueueOutcome("other"),
        EnqueueOutcome(None, error=OSError()),
    ):
        _count(counting, "work", outcome)
    found = {
        result: registry.get_sample_value(
            "fluxqueue_app_calls_total", {"queue": "default", "task": "work", "result": result}
        )
        for result in ("enqueued", "present", "failed")
    }
    assert found == {"enqueued": 1, "present": 1, "failed": 1}


def test_names_beyond_the_bound_share_their_series() -> None:
    registry = CollectorRegistry()
    counting = PrometheusMiddleware(registry, most_pairs=2)
    for number in range(10):
        _count(counting, f"work{number}", EnqueueOutcome("id", is_new=True))
    tasks = {
        sample.labels["task"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "fluxqueue_app_calls_total"
    }
    assert tasks == {"work0": 1, "work1": 1, "other": 8}


def _count(counting: PrometheusMiddleware, task: str, outcome: EnqueueOutcome) -> None:
    step = counting.enqueue(EnqueueCall(task, "default", (), {}, "id", {}, {}))
    next(step)
    with pytest.raises(StopIteration):
        step.send(outcome)
