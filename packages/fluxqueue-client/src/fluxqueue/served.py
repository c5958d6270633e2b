"""The queues that this process serves as a worker: it does not wait for their tasks."""

from __future__ import annotations

from collections.abc import Iterable

_served: frozenset[str] = frozenset()


def serve(queues: Iterable[str]) -> None:
    """Records that this process is a worker of these queues."""
    global _served
    _served = frozenset(queues)


def is_served(queue: str) -> bool:
    """Whether this process is a worker of that queue."""
    return queue in _served
