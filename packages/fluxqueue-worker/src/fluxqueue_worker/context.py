"""Builds the context of a task that asks for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxqueue.context import metadata_of
from fluxqueue_core import Attempt


def build_context(
    context_type: Callable[..., Any], attempt: Attempt, thread_storage: dict[str, Any]
) -> Any:
    """The context for one attempt.

    Args:
        thread_storage: the dict of this thread, or of the event loop.
    """
    context = context_type(metadata_of(attempt), thread_storage)
    # A subclass may be frozen.
    object.__setattr__(context, "_attempt", attempt)
    return context
