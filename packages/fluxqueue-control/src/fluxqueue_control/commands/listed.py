"""Prints tasks of a list, for people and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .answers import age, print_table

if TYPE_CHECKING:
    from fluxqueue_control.finished import FinishedTask
    from fluxqueue_control.listing import ListedTask

HEADS = ("state", "id", "task", "when", "arguments", "why")


def as_json(queue: str, task: ListedTask) -> dict[str, Any]:
    """Returns what a line of JSON says about a task."""
    from fluxqueue_control.shown_json import read_arguments

    parts = task.parse()
    given = None if parts is None else read_arguments(parts)
    has_kwargs = parts is not None and parts["kwargs"] is not None
    return {
        "queue": queue,
        "state": task.state,
        "task_id": task.task_id,
        "name": task.name,
        "bytes": task.size,
        "args": None if given is None else given[0],
        "kwargs": given[1] if given is not None and has_kwargs else None,
        "due": task.due,
        "died_at": task.died_at,
        "entry": None if task.entry is None else task.entry.decode(errors="replace"),
        "reason": task.reason or None,
        "error": task.error or None,
        "consumer": task.consumer,
        "limit": task.limit,
    }


def print_tasks(rows: Sequence[tuple[str, ListedTask]], *, with_queue: bool) -> None:
    """Prints tasks, each with its queue, as a table."""
    heads = ("queue", *HEADS) if with_queue else HEADS
    now = time.time()
    print_table(
        heads,
        [(queue, *_row(task, now)) if with_queue else _row(task, now) for queue, task in rows],
    )


def _row(task: ListedTask, now: float) -> tuple[object, ...]:
    when = why = None
    if task.due is not None:
        when = f"in {age(task.due - now)}" if task.due > now else "now"
    elif task.died_at is not None:
        when = f"{age(max(now - task.died_at, 0.0))} ago"
        why = ": ".join(part for part in (task.reason, task.error) if part)
    return task.state, task.task_id, task.name, when, _arguments(task), why or None


def _arguments(task: ListedTask) -> str | None:
    parts = task.parse()
    if parts is None:
        return None
    args = parts["args"].decode(errors="replace")
    kwargs = parts["kwargs"]
    return args if kwargs is None else f"{args} {kwargs.decode(errors='replace')}"


def finished_as_json(queue: str, task: FinishedTask) -> dict[str, Any]:
    """Returns what a line of JSON says about a finished task."""
    return {"queue": queue, "state": "finished", **asdict(task)}


def print_finished(rows: Sequence[tuple[str, FinishedTask]]) -> None:
    """Prints finished tasks, each with its queue, as a table."""
    now = time.time()
    heads = ("queue", "id", "task", "outcome", "attempts", "took", "finished", "error")
    print_table(heads, [(queue, *_finished_row(task, now)) for queue, task in rows])


def _finished_row(task: FinishedTask, now: float) -> tuple[object, ...]:
    took = ended = None
    if task.finished is not None:
        ended = f"{age(max(now - task.finished, 0.0))} ago"
        if task.started is not None:
            took = age(max(task.finished - task.started, 0.0))
    outcome, attempts = task.outcome or None, task.attempts
    return task.task_id, task.name or None, outcome, attempts, took, ended, task.error
