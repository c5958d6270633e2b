"""The worker's answer to SIGQUIT: the running tasks, and where coroutines wait.

The signal handler has printed the stacks of the threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Attempt
from fluxqueue_core.service.log import Logger

if TYPE_CHECKING:
    from .eventloop import EventLoop


def report(
    logger: Logger, running: Iterable[tuple[Attempt, float]], loop: EventLoop | None
) -> None:
    """Logs each running attempt."""
    stacks = dict(loop.stacks()) if loop is not None else {}
    for attempt, started in running:
        fields: dict[str, Any] = {"task_id": attempt.task_id, "name": attempt.name}
        if attempt in stacks:
            fields["exception"] = stacks[attempt]
        seconds = round(perf_counter() - started, 3)
        logger.warning("task.running", queue=attempt.queue, seconds=seconds, **fields)
