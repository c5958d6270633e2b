"""Moves due tasks from the delayed sets to their lists.

Why: docs/decisions/0016-one-promote-per-queue-and-tick.md
Why: docs/decisions/0075-one-question-for-many-queues.md
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from fluxqueue_control.errors import hash_slot_is_moving
from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core.service.log import get_logger
from redis.exceptions import ResponseError

from .error_log import ErrorLog
from .idle_queues import GROUP, IdleQueues
from .queues import Queues

if TYPE_CHECKING:
    from .tracing import Tracing

# Seconds between two looks at a delayed set, to which a task can be added at any
# moment: half of the delay that docs/guarantees.md promises.
TICK = 0.05
# Seconds to leave a queue alone whose keys Redis refuses.
REFUSED_PAUSE = 1.0
# Seconds. Tasks that are due shortly after each other move together.
SHORTEST_PAUSE = 0.01
# Messages that one call moves. They block Redis for a quarter of a millisecond, 2 µs each. The
# script stops earlier if the messages are large.
# Why: docs/decisions/0286-calls-of-scripts-are-slices.md
LIMIT = 125


class Promoter:
    """Moves the due tasks of all queues, in one or two round trips per tick.

    Args:
        found_periodic: called with each queue that has periodic tasks.
    """

    def __init__(
        self,
        client: RedisClient,
        queues: Queues,
        error_log: ErrorLog,
        tracing: Tracing | None = None,
        *,
        is_cluster: bool = False,
        found_periodic: Callable[[str], None] = lambda queue: None,
    ) -> None:
        self._client = client
        self._found_periodic = found_periodic
        self._queues = queues
        self._error_log = error_log
        self._tracing = tracing
        self._refused: dict[str, float] = {}
        self._idle = IdleQueues(client, 1 if is_cluster else GROUP)
        self._arguments = (LIMIT,) if tracing is None else (LIMIT, tracing.most_links)

    def step(self) -> float:
        """Moves the due tasks; returns the seconds until the next one may be due.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        self._queues.refresh(self._client)
        now = monotonic()
        names = self._idle.others(self._queues.names)
        names = [n for n in names if self._refused.get(n, 0.0) <= now]
        if not names:
            return TICK
        pause = TICK
        started = 0 if self._tracing is None else time_ns()
        calls = [ScriptCall("promote", name, self._arguments) for name in names]
        replies = self._client.calls(calls)
        for queue, reply in zip(names, replies, strict=True):
            if isinstance(reply, ResponseError):
                self._error_log.report_queue(queue, "promote", reply)
                if not hash_slot_is_moving(reply):
                    self._refused[queue] = now + REFUSED_PAUSE
                continue
            self._refused.pop(queue, None)
            moved, due, *messages = reply
            if len(messages) > 1:
                self._found_periodic(queue)
            self._idle.saw(queue, is_empty=due < 0)
            if moved:
                if self._tracing is not None:
                    self._tracing.promoted(queue, moved, messages[0], started)
                get_logger().debug("tasks.promoted", queue=queue, count=moved)
            if due == 0:
                # The call has stopped at one of its limits: more tasks are due.
                pause = 0.0
            elif due > 0:
                pause = min(pause, max(due / 1_000, SHORTEST_PAUSE))
        return pause
