"""Asks many queues in one command whether a task is delayed.

Most of many queues have no delayed task at any moment. One EXISTS tells that of a hundred
queues, at a hundredth of the cost of a `promote` for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from fluxqueue_control.redis_client import Packed, RedisClient

# Queues that one EXISTS asks.
GROUP = 100
# Up to this many queues are each asked at once: a second round trip costs as much.
FEW = 16


class IdleQueues:
    """Knows which queues had no delayed task when they were last asked."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._delaying: set[str] = set()
        self._names: Sequence[str] = ()
        # The queues of each command, and the commands; None if they must be made again.
        self._groups: list[Sequence[str]] = []
        self._packed: Packed | None = None

    def others(self, names: Sequence[str]) -> Sequence[str]:
        """Returns the queues that may have a delayed task.

        Raises:
            UNAVAILABLE: Redis is unreachable or can't work.
        """
        if len(names) <= FEW:
            return names
        if names != self._names:
            self._names, self._packed = names, None
            self._delaying.intersection_update(names)
        if self._packed is None:
            self._packed = self._pack()
        counts = self._client.send(self._packed)
        # `promote` says what an error means for each queue of the group.
        asked = set(self._delaying)
        for group, count in zip(self._groups, counts, strict=True):
            if count != 0:
                asked.update(group)
        return [name for name in names if name in asked] if asked else ()

    def saw(self, queue: str, *, is_empty: bool) -> None:
        """Records whether the queue has a delayed task."""
        if is_empty == (queue in self._delaying):
            self._delaying.symmetric_difference_update((queue,))
            self._packed = None

    def _pack(self) -> Packed:
        idle = [name for name in self._names if name not in self._delaying]
        self._groups = [idle[at : at + GROUP] for at in range(0, len(idle), GROUP)]
        return Packed.of(
            [
                ("EXISTS", *(self._client.key("delayed", name) for name in group))
                for group in self._groups
            ]
        )
