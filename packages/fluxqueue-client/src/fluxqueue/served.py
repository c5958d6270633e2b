"""The queues that this process, or this code, serves as a worker: a task does not wait for
tasks that need its own slot."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

# The names of the queues, and their namespace.
_Served = tuple[frozenset[str], str]

_nothing: _Served = (frozenset(), "")
_by_process = _nothing
# In the tasks of a worker that shares its process with a program, which may wait.
_by_context: ContextVar[_Served] = ContextVar("fluxqueue_served", default=_nothing)


def serve(queues: Iterable[str], namespace: str) -> None:
    """Records that this process is a worker of these queues."""
    global _by_process
    _by_process = frozenset(queues), namespace


def serve_in_context(queues: Iterable[str], namespace: str) -> None:
    """Records that the code which runs in this context, or in a copy of it, is a task of a
    worker of these queues."""
    _by_context.set((frozenset(queues), namespace))


def is_served(queue: str, namespace: str) -> bool:
    """Whether the caller is a worker of that queue, of whatever Redis: one Redis may have many
    addresses."""
    return any(
        queue in queues and namespace == own for queues, own in (_by_process, _by_context.get())
    )
