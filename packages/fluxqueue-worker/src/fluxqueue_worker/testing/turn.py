"""The turn of threads: one at a time lets the tasks of a test run."""

from __future__ import annotations

import threading

# Seconds after which a thread that waits for its turn counts as one that a running task waits for.
PATIENCE = 1.0


class Turn:
    """A lock, which a thread can take again while it has it.

    A task may start threads that call tasks, and wait for them. They do not have the context of the
    task, so they are known by that their turn never comes.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._depth = 0
        self._helpers: set[int] = set()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()
        self._depth += 1

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._helpers.clear()
        self._lock.release()

    @property
    def is_helper(self) -> bool:
        """Whether the calling thread helps a task that another thread runs."""
        ident = threading.get_ident()
        if self._owner in (None, ident):
            return False
        if ident not in self._helpers:
            if self._lock.acquire(timeout=PATIENCE):
                self._lock.release()
                return False
            self._helpers.add(ident)
        return True
