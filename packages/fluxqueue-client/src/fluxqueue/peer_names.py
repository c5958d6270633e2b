"""The names that other queues have for our options and calls, for messages of errors."""

from __future__ import annotations

# Celery, Dramatiq, RQ, taskiq.
OPTIONS = {
    "actor_name": "name",
    "autoretry_for": "retry_on",
    "dont_autoretry_for": "no_retry_on",
    "job_timeout": "timeout",
    "max_backoff": "retry_max_delay",
    "min_backoff": "retry_delay",
    "queue_name": "queue",
    "retry_backoff_max": "retry_max_delay",
    "soft_time_limit": "timeout",
    "time_limit": "timeout",
}
CALLS = {
    "apply_async": "enqueue",
    "delay": "enqueue",
    "kiq": "enqueue_async",
    "send": "enqueue",
}
