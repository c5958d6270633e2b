"""`Failure`: what a task that `on_failure` names is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that has ended without success.

    Attributes:
        id: the task's id.
        name: its name; empty if its message can't be read.
        queue: its queue.
        reason: why it will not run again: a reason of the dead set, such as `failed`,
            `rejected` or `worker_lost`, or `expired`.
        error: the type and text of its last exception, or what else was wrong.
        traceback: the traceback of the exception; empty if there is none.
        attempts: how many attempts it had; a lost worker is not counted.
        args: its positional arguments, as JSON has them. None: they can't be read, or are
            too large for a second message.
        kwargs: its keyword arguments. None as for `args`.
    """

    id: str
    name: str
    queue: str
    reason: str
    error: str
    traceback: str
    attempts: int
    args: list[Any] | None
    kwargs: dict[str, Any] | None
