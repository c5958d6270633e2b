"""Plans the next moment of periodic tasks whose moment Redis has lost."""

from __future__ import annotations

from time import monotonic

from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.log import get_logger

from .options import Options
from .periodic_stops import LOOKS
from .periodic_tasks import PeriodicTask, TasksByMoment

# Tasks that one call of the script plans.
AT_ONCE = 500


class Mending:
    """Watches the tasks of one queue."""

    def __init__(self, queue: str, tasks: TasksByMoment) -> None:
        self._queue = queue
        self._tasks = tasks
        self._next = 0.0

    def step(self, client: RedisClient, redis_time: int, options: Options) -> None:
        """Looks, if that is due.

        Args:
            redis_time: in ms since 1970.

        Raises:
            ResponseError: Redis refused it.
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if monotonic() < self._next:
            return
        self._next = monotonic() + options.periodic_grace / LOOKS
        lost = [task.id for task in self._tasks.items() if _has_lost(task, redis_time)]
        for start in range(0, len(lost), AT_ONCE):
            some = lost[start : start + AT_ONCE]
            words = client.call(ScriptCall("schedule", self._queue, ("plan", *some)))
            for periodic, word in zip(some, words, strict=True):
                if word == b"planned":
                    get_logger().warning(
                        "periodic.mended",
                        queue=self._queue,
                        periodic=periodic,
                        reason="Redis had lost its next moment",
                    )


def _has_lost(task: PeriodicTask, redis_time: int) -> bool:
    """Whether a task has no moment, although there is one."""
    if task.record is None or task.record.paused or task.due is not None:
        return False
    try:
        return task.record.rules.times.after(redis_time) is not None
    except ConfigurationError:  # an unknown zone
        return False
