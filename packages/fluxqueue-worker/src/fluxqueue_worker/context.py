"""Builds the context of a task that asks for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fluxqueue.context import TaskMetadata
from fluxqueue_core import Attempt


def build_context(
    context_type: Callable[..., Any], attempt: Attempt, thread_storage: dict[str, Any]
) -> Any:
    """The context for one attempt.

    Args:
        thread_storage: the dict of this thread, or of the event loop.
    """
    metadata = TaskMetadata(
        task_id=attempt.task_id,
        retries=attempt.retries,
        max_retries=attempt.max_retries,
        snoozes=attempt.snoozes,
        lost_workers=attempt.deliveries,
        releases=attempt.releases,
        enqueued_at=datetime.fromtimestamp(attempt.enqueued_at / 1000, UTC),
        headers=attempt.headers or {},
    )
    context = context_type(metadata, thread_storage)
    # A subclass may be frozen.
    object.__setattr__(context, "_attempt", attempt)
    return context
