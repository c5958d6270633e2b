"""Middleware that counts attempts and calls for Prometheus, by `prometheus_client`.

Needs the extra `[prometheus]`. Your application serves the registry, for example by
`prometheus_client.start_http_server`. The scheduler's own metrics need none of this
(docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .middleware import Attempt, AttemptSteps, EnqueueCall, EnqueueSteps, Middleware

# Seconds.
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0)
OTHER = ("other", "other")


class PrometheusMiddleware(Middleware):
    """Counts attempts and calls, with the labels `queue` and `task`.

    - `fluxqueue_app_attempts_total`: attempts that have ended, with their `status`.
    - `fluxqueue_app_attempt_seconds`: a histogram of their durations.
    - `fluxqueue_app_attempts_running`: those that run now.
    - `fluxqueue_app_calls_total`: calls, with the `result` `enqueued`, `present` (another task is
      in its place) or `failed`.

    Make one object, and give it to all tasks: a registry takes each name once.

    Args:
        registry: takes the metrics.
        buckets: of the histogram, in seconds.
        most_pairs: how many pairs of queue and task have their own labels; all others are
            counted as `other`.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        buckets: Sequence[float] = BUCKETS,
        most_pairs: int = 1000,
    ) -> None:
        labels = ("queue", "task")
        self._attempts = Counter(
            "fluxqueue_app_attempts_total",
            "Attempts at tasks that have ended.",
            (*labels, "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "fluxqueue_app_attempt_seconds",
            "How long attempts took.",
            labels,
            registry=registry,
            buckets=buckets,
        )
        self._running = Gauge(
            "fluxqueue_app_attempts_running",
            "Attempts that run now.",
            labels,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._calls = Counter(
            "fluxqueue_app_calls_total", "Calls of tasks.", (*labels, "result"), registry=registry
        )
        self._most_pairs = most_pairs
        self._pairs: set[tuple[str, str]] = set()
        # Label values are looked up under a lock; these are not.
        self._known: dict[tuple[Any, ...], Any] = {}

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        pair = self._pair(attempt.queue, attempt.task_name)
        running, seconds = self._child(self._running, *pair), self._child(self._seconds, *pair)
        running.inc()
        began = perf_counter()
        outcome = yield
        seconds.observe(perf_counter() - began)
        running.dec()
        self._child(self._attempts, *pair, outcome.status).inc()

    def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
        outcome = yield
        result = "enqueued" if outcome.is_new else "failed" if outcome.error else "present"
        pair = self._pair(call.queue, call.task_name)
        self._child(self._calls, *pair, result).inc()

    def _pair(self, queue: str, task: str) -> tuple[str, str]:
        pair = queue, task
        if pair not in self._pairs:
            if len(self._pairs) >= self._most_pairs:
                return OTHER
            self._pairs.add(pair)
        return pair

    def _child(self, metric: Any, *labels: str) -> Any:
        key = metric, *labels
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = metric.labels(*labels)
        return found
