"""Waits for the results of tasks in a thread.

A process has one `ResultListener` for each Redis, whose connection all waits share.

Why: docs/decisions/0107-one-connection-for-all-waits.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

from fluxqueue_core import ResultListener, Settings, fork_generation

from . import greenlets
from .errors import ResultTimeout

# By fork generation and what the connection depends on.
_listeners: dict[tuple[int, str, float, float], ResultListener] = {}


class TaskRef(NamedTuple):
    """Which task is waited for: its queue and its id."""

    queue: str
    task_id: str


def listener(settings: Settings) -> ResultListener:
    """Returns this process's listener for a Redis."""
    key = _key(settings)
    found = _listeners.get(key)
    if found is None:
        # Two threads may make one each; both use the one that is there first.
        found = _listeners.setdefault(key, ResultListener(settings))
    return found


def use_listener(settings: Settings, listener: ResultListener) -> Callable[[], None]:
    """Waits for the results of a Redis by this listener. Returns a function that forgets it."""
    key = _key(settings)
    _listeners[key] = listener

    def forget() -> None:
        _listeners.pop(key, None)

    return forget


def _key(settings: Settings) -> tuple[int, str, float, float]:
    return fork_generation(), settings.url, settings.connect_timeout, settings.timeout


def wait(
    settings: Settings, tasks: Sequence[TaskRef], timeout: float, once: bool = False
) -> list[bytes | Exception | None]:
    """Waits until all tasks have ended, and blocks the thread.

    Args:
        timeout: seconds for all together.
        once: looks once. Timeout is then for the look itself.

    Returns:
        for each task, its outcome as JSON, the error that ended the wait, or None: nothing
        came in time. A look may also find a report of progress, or nothing: b''.
    """
    deadline = monotonic() + timeout
    mailbox = listener(settings).mailbox(has_fd=greenlets.are_used())
    found: list[bytes | Exception | None] = [None] * len(tasks)
    tokens: dict[int, int] = {}
    for queue, positions in by_queue(tasks).items():
        first = len(tokens)
        tokens.update(enumerate(positions, first))
        ids = [tasks[position].task_id for position in positions]
        mailbox.watch(settings.namespace, queue, ids, first, "look" if once else "outcome")
    left = len(tasks)
    while left:
        seconds = max(0.0, deadline - monotonic())
        if mailbox.fd is None:
            has_come = mailbox.wait(seconds)
        else:
            has_come = greenlets.wait_until_readable(mailbox.fd, seconds)
        if not has_come:
            break
        for token, outcome, error in mailbox.collect():
            found[tokens[token]] = error if outcome is None else outcome
            left -= 1
    return found


def by_queue(tasks: Sequence[TaskRef]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = {}
    for position, task in enumerate(tasks):
        grouped.setdefault(task.queue, []).append(position)
    return grouped


def timed_out(settings: Settings, task: TaskRef, timeout: float) -> ResultTimeout:
    """Returns the error of a wait for which nothing came in time."""
    problem = listener(settings).problem
    if problem is not None:
        why = f"; at present nothing can arrive: {problem}"
    else:
        why = (
            "; it is waiting or running, its result has expired, it was enqueued without "
            "result_ttl, or there is no such task"
        )
    text = f"task {task.task_id} (queue {task.queue!r}): no result within {timeout:g} s{why}"
    error = ResultTimeout(text)
    error.task_id, error.queue = task.task_id, task.queue
    return error
