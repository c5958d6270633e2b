"""Runs a task with its dependencies as the worker does, in the test's own thread or loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.shared_values import SharedValues

from .fake_consumer import FakeAttempt


def run(task: Any, *args: Any, shared: SharedValues | None = None, **kwargs: Any) -> Any:
    """Runs one attempt, and returns what the task returned, or raises what it raised."""
    return (
        asyncio.run(result)
        if isinstance(result := begun(RegisteredTask(task, shared), *args, **kwargs), Coroutine)
        else result
    )


def begun(record: RegisteredTask, *args: Any, **kwargs: Any) -> Any:
    """Calls a record as the worker's loops do. Of an async task, returns the coroutine."""
    attempt: Any = FakeAttempt(record, list(args), kwargs or None)
    return record.func(*args, **kwargs) if record.run is None else record.run(attempt, {})
