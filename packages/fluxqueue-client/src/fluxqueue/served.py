"""The queues that this process serves as a worker: it does not wait for their tasks."""

from __future__ import annotations

from collections.abc import Iterable

_served: frozenset[str] = frozenset()
_namespace = ""


def serve(queues: Iterable[str], namespace: str) -> None:
    """Records that this process is a worker of these queues."""
    global _served, _namespace
    _served, _namespace = frozenset(queues), namespace


def is_served(queue: str, namespace: str) -> bool:
    """Whether this process is a worker of that queue, of whatever Redis: one Redis may have many
    addresses."""
    return queue in _served and namespace == _namespace
