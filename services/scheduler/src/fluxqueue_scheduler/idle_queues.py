"""Asks many queues in one round trip whether a task is delayed, or waits for the time of its
limit.

Most of many queues have no such task at any moment. One EXISTS tells that of a hundred
queues, at a hundredth of the cost of a `promote` for each. In a cluster it tells that of one
queue, at a third. Once a second another EXISTS asks for tasks with priorities: a lost worker
may have left them where no other worker sees them. The same one asks for periodic tasks, of
which `promote` tells.

Why: docs/decisions/0102-a-prioritized-message-at-the-head.md
"""

from __future__ import annotations

from collections.abc import Sequence

from fluxqueue_control.redis_client import Packed, RedisClient

# Queues that one EXISTS asks.
GROUP = 100
# Up to this many queues are each asked at once: a second round trip costs as much.
FEW = 16
# Every 20th question asks for tasks with priorities and for periodic tasks too.
SELDOM_EVERY = 20


class IdleQueues:
    """Knows which queues need no `promote`.

    Args:
        in_command: how many queues one EXISTS asks: 1 in a cluster, where the keys of a
            command must share a hash slot.
    """

    def __init__(self, client: RedisClient, in_command: int = GROUP) -> None:
        self._client = client
        self._in_command = in_command
        self._delaying: set[str] = set()
        self._names: Sequence[str] = ()
        self._questions = 0
        # The queues of each command, and the commands by the kind of their keys; empty if
        # they must be made again.
        self._groups: list[Sequence[str]] = []
        self._packed: dict[str, Packed] = {}

    def others(self, names: Sequence[str]) -> Sequence[str]:
        """Returns the queues that may have a delayed task, one that waits for the time of its
        limit, or one with a priority.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if len(names) <= FEW:
            return names
        if names != self._names:
            self._names, self._packed = names, {}
            self._delaying.intersection_update(names)
        if not self._packed:
            self._pack()
        self._questions += 1
        kinds = self._packed if self._questions % SELDOM_EVERY == 0 else ("delayed",)
        asked = set(self._delaying)
        for kind in kinds:
            counts = self._client.send(self._packed[kind])
            # `promote` says what an error means for each queue of the group.
            for group, count in zip(self._groups, counts, strict=True):
                if count != 0:
                    asked.update(group)
        return [name for name in names if name in asked] if asked else ()

    def saw(self, queue: str, *, is_empty: bool) -> None:
        """Records whether the queue has neither a delayed task nor one that waits for its time."""
        if is_empty == (queue in self._delaying):
            self._delaying.symmetric_difference_update((queue,))
            self._packed = {}

    def _pack(self) -> None:
        size = self._in_command
        idle = [name for name in self._names if name not in self._delaying]
        self._groups = [idle[at : at + size] for at in range(0, len(idle), size)]
        self._packed = {
            question: Packed.of(
                [
                    ("EXISTS", *(self._client.key(kind, name) for name in group for kind in kinds))
                    for group in self._groups
                ]
            )
            for question, kinds in {
                "delayed": ("delayed", "limits"),
                "seldom": ("prioritized", "periodic"),
            }.items()
        }
