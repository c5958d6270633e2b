"""Refuses an application that replaces threads by greenlets.

A worker's threads wait for tasks and signals side by side. As greenlets they share one
thread, and the first one that waits stops all others.
"""

from __future__ import annotations

import sys

from .task_loader import TasksError

REMEDIES = {
    "gevent": "gevent.monkey.patch_all(thread=False)",
    "eventlet": "eventlet.monkey_patch(thread=False)",
}


def refuse_if_patched() -> None:
    """Checks the process after the application's modules have been imported.

    Raises:
        TasksError: gevent or eventlet has replaced the threads.
    """
    if (library := patched_by()) is not None:
        raise TasksError(
            f"the tasks' modules let {library} replace threads by greenlets, and a worker"
            f" needs real threads; keep that call, or the import that makes it, out of"
            f" these modules, or call {REMEDIES[library]} first"
        )


def patched_by() -> str | None:
    """Returns the library that has replaced the threads of this process by greenlets."""
    return next((library for library in REMEDIES if _replaces_threads(library)), None)


def _replaces_threads(library: str) -> bool:
    if library == "gevent":
        monkey = sys.modules.get("gevent.monkey")
        return monkey is not None and bool(monkey.is_module_patched("threading"))
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))
