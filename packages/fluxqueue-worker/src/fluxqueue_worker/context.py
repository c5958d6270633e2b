"""Builds the context of a task that asks for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fluxqueue.context import TaskMetadata
from fluxqueue_core import Job


def build_context(
    context_type: Callable[..., Any], job: Job, thread_storage: dict[str, Any]
) -> Any:
    """The context for one attempt.

    Args:
        thread_storage: the dict of this thread, or of the event loop.
    """
    metadata = TaskMetadata(
        task_id=job.task_id,
        retries=job.retries,
        max_retries=job.max_retries,
        snoozes=job.snoozes,
        lost_workers=job.deliveries,
        releases=job.releases,
        enqueued_at=datetime.fromtimestamp(job.enqueued_at / 1000, UTC),
        headers=job.headers or {},
    )
    context = context_type(metadata, thread_storage)
    # A subclass may be frozen.
    object.__setattr__(context, "_attempt", job)
    return context
