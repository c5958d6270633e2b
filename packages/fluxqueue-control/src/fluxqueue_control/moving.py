"""Moves tasks to another queue on the same server, each in one step.

In a cluster two queues have different hash slots, so no step can move a task between them: such a
move is refused.

Why: docs/decisions/0188-a-moved-task-arrives-through-delayed.md
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from fluxqueue_core import requeued_message
from fluxqueue_core.errors import ConfigurationError, MalformedMessage

from .dead import DeadTask
from .deleting import WaitingTask
from .redis_client import Audit, RedisClient, ScriptCall

Moved: TypeAlias = Literal["moved", "absent", "duplicate", "cancelled", "bound", "unreadable"]

_VERDICTS: dict[int, Moved] = {1: "moved", 0: "absent", -2: "duplicate", -3: "cancelled"}
# Where the id is in a message.
_ID = slice(13, 49)
# The options that name keys of a queue: a lock, a limit, a result.
_BOUND = re.compile(rb'^\{"v":2,.{0,113}?,"opts":\{(?:[^{}]*,)?"(?:u|l|r)":')
_BOUND_DEAD = re.compile(rb'^\{"v":2,.{0,113}?,"opts":\{(?:[^{}]*,)?"(?:u|l)":')


def move_waiting(
    client: RedisClient,
    queue: str,
    target: str,
    tasks: Sequence[WaitingTask],
    *,
    is_audited: bool = True,
) -> list[Moved]:
    """Moves tasks that wait, each if it is still where it was found. Those that wait for a worker
    are due in the other queue at once, and its scheduler brings them to its list. Those that are
    delayed keep their time. The caller bounds their number and their bytes.

    Returns for each: `moved`; `absent`: it is no longer there; `bound`: its lock, its limit or its
    result is in keys of this queue; `duplicate`: the other queue has the same message;
    `cancelled`: it was cancelled.

    Raises:
        ConfigurationError: a queue's name is not valid, both are the same, or this is a cluster.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    words: list[tuple[str | bytes | float, ...] | Moved] = []
    for task in tasks:
        if task.where.startswith("limit:") or _BOUND.match(task.message):
            words.append("bound")
        else:
            words.append((task.message, task.where, task.within, "", ""))
    return _move(client, queue, target, words, is_audited)


def move_dead(
    client: RedisClient,
    queue: str,
    target: str,
    tasks: Sequence[DeadTask],
    *,
    is_audited: bool = True,
) -> list[Moved]:
    """Moves dead tasks: each begins again in the other queue, from its first attempt, as after
    `requeue`. `unreadable`: the message is malformed, or not with the task. Returns and raises as
    `move_waiting`."""
    words: list[tuple[str | bytes | float, ...] | Moved] = []
    for task in tasks:
        if task.message is None:
            words.append("unreadable")
        elif _BOUND_DEAD.match(task.message):
            words.append("bound")
        else:
            try:
                message = requeued_message(task.message, True)
            except MalformedMessage:
                words.append("unreadable")
                continue
            digest = hashlib.sha1(task.message, usedforsecurity=False).hexdigest()
            words.append((task.entry, "dead", round(task.died_at * 1_000), digest, message))
    return _move(client, queue, target, words, is_audited)


def check_target(client: RedisClient, queue: str, target: str) -> None:
    """Raises ConfigurationError if tasks of a queue can't be moved to the other one."""
    client.key("delayed", target)
    if target == queue:
        raise ConfigurationError(f"queue {queue!r} has these tasks already; name another queue")
    if client.is_cluster:
        raise ConfigurationError(
            f"in a cluster no step can move a task from queue {queue!r} to {target!r}, which has "
            f"another hash slot; enqueue it there, and delete it here"
        )


def _move(
    client: RedisClient,
    queue: str,
    target: str,
    words: Sequence[tuple[str | bytes | float, ...] | Moved],
    is_audited: bool,
) -> list[Moved]:
    check_target(client, queue, target)
    moving = [each for each in words if not isinstance(each, str)]
    replies: list[int] = []
    if moving:
        call = ScriptCall("transfer", queue)
        flat = [word for each in moving for word in each]
        audit = Audit("move", f"{_names(moving)} to {target}") if is_audited else None
        keys = [*call.keys(client.namespace), client.key("delayed", target)]
        replies = client.call(ScriptCall("transfer", queue, flat, only_keys=keys, audit=audit))
    answers = iter(replies)
    return [each if isinstance(each, str) else _VERDICTS[next(answers)] for each in words]


def _names(moving: Sequence[tuple[str | bytes | float, ...]]) -> str:
    """The one task in words for the audit, or their number."""
    [first, where, *_] = moving[0]
    if len(moving) > 1 or not isinstance(first, bytes):
        return f"{len(moving)} tasks"
    # The entry of a dead task begins with its id.
    return (first if where == "dead" else first[_ID])[:36].decode(errors="replace")
