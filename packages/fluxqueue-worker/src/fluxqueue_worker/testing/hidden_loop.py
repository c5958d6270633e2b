"""Hides the event loop that runs in this thread, as in the thread of a worker that runs a `def`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden_loop() -> Iterator[None]:
    """Within, `asyncio.get_running_loop` finds none, and `asyncio.run` works.

    The function stays in its thread: the connections and the transaction of a test belong to it.
    """
    loop = asyncio._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    if loop is not None and task is not None:
        # From 3.14 on, a thread runs one asyncio task, whatever its loop is.
        asyncio.tasks._leave_task(loop, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        if loop is not None and task is not None:
            asyncio.tasks._enter_task(loop, task)
