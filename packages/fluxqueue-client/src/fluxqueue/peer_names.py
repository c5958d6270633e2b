"""The names that other queues have for our options and calls, for messages of errors."""

from __future__ import annotations

from typing import Any

# Celery, Dramatiq, RQ, taskiq.
OPTIONS = {
    "actor_name": "name",
    "autoretry_for": "retry_on",
    "dont_autoretry_for": "no_retry_on",
    "job_timeout": "timeout",
    "max_backoff": "retry_max_delay",
    "min_backoff": "retry_delay",
    "queue_name": "queue",
    "rate_limit": "rate",
    "retry_backoff_max": "retry_max_delay",
    "soft_time_limit": "timeout",
    "time_limit": "timeout",
}
CALL_OPTIONS = {
    "at": "eta",
    "countdown": "delay",
    "defer_by": "delay",
    "defer_until": "eta",
    "job_id": "task_id",
    "job_timeout": "timeout",
    "queue_name": "queue",
    "retries": "max_retries",
    "run_after": "eta",
    "time_limit": "timeout",
}
CALLS = {
    "apply_async": "enqueue",
    "delay": "enqueue",
    "kiq": "enqueue_async",
    "send": "enqueue",
    "send_with_options": "options",
    "signature": "call",
}


class MissingCall:
    """An attribute that a task does not have, with an error that names the call to write.

    A `__getattr__` would slow down every attribute of a task on Python 3.11.
    """

    def __init__(self, name: str, ours: str) -> None:
        self._name = name
        self._ours = f"await {{}}.{ours}(...)" if ours.endswith("_async") else f"{{}}.{ours}(...)"

    def __get__(self, task: Any, owner: type) -> MissingCall:
        if task is None:
            return self
        advice = self._ours.format(getattr(task, "__name__", "task"))
        text = f"{owner.__name__!r} object has no attribute {self._name!r}; write `{advice}`"
        raise AttributeError(text, name=self._name, obj=task)
