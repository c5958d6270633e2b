"""One task by its id, wherever it is: found, deleted, moved, and run before it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeAlias, TypeVar

from . import cancelling, dead, moving
from .candidates import REACH
from .deleting import WaitingTask, delete_dead, delete_waiting
from .errors import checked
from .lines import line_of, lines
from .redis_client import Audit, RedisClient, ScriptCall
from .scanning import scan

State: TypeAlias = Literal[
    "pending", "suspects", "prioritized", "limited", "delayed", "claimed", "dead"
]
Deleted: TypeAlias = Literal["deleted", "requested", "running", "absent"]
Hastened: TypeAlias = Literal["moved", "not_delayed", "absent"]
Answer = TypeVar("Answer", bound=str)
Relocated: TypeAlias = moving.Moved | Literal["running", "too_deep"]

# Messages or elements that one call looks at, about.
_STEP = 2_000
# Consumers that one round trip asks for.
_CONSUMERS = 100
# How many messages `find` looks at by default, in each list.
MOST = 1_000_000
# How often a change is tried again, if the task moves meanwhile.
_TRIES = 5
# New messages that may come to a list between `find` and a change.
_MARGIN = 1_000


@dataclass(frozen=True, slots=True)
class LocatedTask:
    """A task, as it was found.

    Attributes:
        state: where it is. `pending`: it waits for a worker; `prioritized`: the same, with a
            priority; `suspects`: it has lost two workers, and waits to run alone; `limited`: it
            waits in the line of its limit; `delayed`: it waits for its time; `claimed`: a worker
            has it, and runs it or will soon; `dead`.
        message: the message, to the byte.
        position: how many messages of the list were to the left of it; None if it is not in a
            list. The next one is taken from the right end.
        ahead: how many messages of the list are taken before it; None in the same way.
        limit: the digest of its limit's key; None if it does not wait in a line.
        due: when it is due, in seconds since 1970; None if it is not delayed.
        consumer: the consumer that has it; None if no worker has it.
        entry: its entry in the dead set; None if it is not dead.
    """

    state: State
    message: bytes
    position: int | None = None
    ahead: int | None = None
    limit: str | None = None
    due: float | None = None
    consumer: str | None = None
    entry: bytes | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The answer of `find`.

    Attributes:
        task: the task; None if it was not found.
        is_complete: whether all keys were looked through. If not, a list was longer than the
            caller allowed.
    """

    task: LocatedTask | None
    is_complete: bool


def find(client: RedisClient, queue: str, task_id: str, most: int = MOST) -> Search:
    """Looks for a task in the keys of a queue. Redis looks through them in bounded calls, and
    returns one message only.

    A task may move meanwhile. So this looks at each key twice before it answers that the queue
    does not have the task.

    Args:
        most: how many messages to look at in each list.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    for quick in _look_quickly(client, queue, task_id):
        return Search(quick, True)
    for _ in range(2):
        is_complete = True
        for found in _look_everywhere(client, queue, task_id, most):
            if found is None:
                is_complete = False
            else:
                return Search(found, True)
        if not is_complete:
            break
    return Search(None, is_complete)


def delete(client: RedisClient, queue: str, task_id: str, most: int = MOST) -> Deleted:
    """Deletes a task that waits or is dead. One that waits ends as `cancelled`: its lock is free,
    and its result says so. `requested`: it is further than 25,000 tasks from both ends of its list,
    so that Redis can't remove it in a short call; the worker that claims it ends it. `running`: a
    worker has it; cancel it instead.

    `absent` also stands for a task that a list longer than `most` may have; see `find`.

    Raises:
        RuntimeError: the task moves all the time.
        ConfigurationError, ResponseError, UNAVAILABLE: as `find`.
    """

    def change(task: LocatedTask) -> Deleted | None:
        if task.entry is not None:
            return "deleted" if _delete_dead(client, queue, task.entry) else None
        waiting = _within_reach(task)
        if waiting is None:
            cancelling.request(client, queue, [task_id], is_audited=True)
            return "requested"
        return "deleted" if delete_waiting(client, queue, [waiting])[0] else None

    return _changed(client, queue, task_id, most, change)


def run_now(client: RedisClient, queue: str, task_id: str) -> Hastened:
    """Moves a delayed task behind what waits, as if it had become due. `not_delayed`: it is
    elsewhere. Raises as `find`."""
    for found in _look_into_sets(client, queue, task_id):
        if found.state == "delayed":
            words = ("", "", "", found.message, "")
            audit = Audit("run now", task_id)
            if client.call(ScriptCall("requeue", queue, words, audit=audit))[0] == 1:
                return "moved"
    return "absent" if find(client, queue, task_id).task is None else "not_delayed"


def move(client: RedisClient, queue: str, task_id: str, target: str, most: int = MOST) -> Relocated:
    """Moves a task that waits, is delayed or is dead to another queue on the same server. A second
    call finds it there, and does nothing here (`absent`).

    Returns what `moving.move_waiting` and `moving.move_dead` do; or `running`: a worker has it;
    `too_deep`: it is further than 25,000 tasks from both ends of its list, so that Redis can't
    remove it in a short call. `absent` also stands for a task that a list longer than `most` may
    have; see `find`.

    Raises:
        RuntimeError: the task moves all the time.
        ConfigurationError: a queue's name is not valid, both are the same, or this is a cluster.
        ResponseError, UNAVAILABLE: as `find`.
    """
    moving.check_target(client, queue, target)

    def change(task: LocatedTask) -> Relocated | None:
        if task.entry is not None:
            found = dead.show(client, queue, task.entry)
            if found is None:
                return None
            [answer] = moving.move_dead(client, queue, target, [found])
        else:
            waiting = _within_reach(task)
            if waiting is None:
                return "too_deep"
            [answer] = moving.move_waiting(client, queue, target, [waiting])
        return None if answer == "absent" else answer

    return _changed(client, queue, task_id, most, change)


def _changed(
    client: RedisClient,
    queue: str,
    task_id: str,
    most: int,
    change: Callable[[LocatedTask], Answer | None],
) -> Answer | Literal["absent", "running"]:
    """Finds a task that no worker has, and changes it.

    Args:
        change: returns the answer; None if the task has moved meanwhile: then this looks for it
            again.
    """
    for _ in range(_TRIES):
        task = find(client, queue, task_id, most).task
        if task is None:
            return "absent"
        if task.state == "claimed":
            return "running"
        answer = change(task)
        if answer is not None:
            return answer
    raise RuntimeError(f"task {task_id} of queue {queue!r} moves all the time")


def _within_reach(task: LocatedTask) -> WaitingTask | None:
    """Where to remove it; None if Redis would have to compare too many elements of its list."""
    within = 0
    if task.position is not None and task.ahead is not None:
        # From the end that is nearer.
        from_left = task.position <= task.ahead
        within = task.position + _MARGIN if from_left else -(task.ahead + _MARGIN)
    if abs(within) > REACH + _MARGIN:
        return None
    where = task.state if task.limit is None else line_of(task.limit)
    return WaitingTask(where, task.message, within)


def _delete_dead(client: RedisClient, queue: str, entry: bytes) -> bool:
    died = client.command("ZSCORE", client.key("dead", queue), entry)
    if died is None:
        return False
    return delete_dead(client, queue, [(entry, died)])[0]


def _look_everywhere(
    client: RedisClient, queue: str, task_id: str, most: int
) -> Iterator[LocatedTask | None]:
    """Yields what it finds; None for a list that is too long. In the order in which a task
    moves, as far as it has one."""
    yield from _look_into_sets(client, queue, task_id)
    for digest in lines(client, queue):
        yield from _look_into_list(client, queue, "limited", task_id, most, digest)
    for state in ("pending", "suspects"):
        yield from _look_into_list(client, queue, state, task_id, most)
    yield from _look_into_consumers(client, queue, task_id)
    yield from _look_into_dead(client, queue, task_id)


def _look_quickly(client: RedisClient, queue: str, task_id: str) -> Iterator[LocatedTask]:
    """Looks at all keys, but at the lists only near the position of the id in the order of ids, in
    which most tasks are. Why: docs/decisions/0211-a-task-is-looked-for-near-its-place.md"""
    yield from _look_into_sets(client, queue, task_id)
    states: tuple[Literal["pending", "suspects"], ...] = ("pending", "suspects")
    for state in states:
        words = (task_id, state, "", _STEP)
        length, _, *found = client.call(ScriptCall("find", queue, words))
        if found:
            yield _in_list(state, length, *found)
    # The field of an attempt is its entry: ask for the usual ones before a look through all.
    usual = [f'{task_id}"'] + [f'{task_id}","retries":{failures}' for failures in range(1, 11)]
    scores = checked(client.commands(("ZSCORE", client.key("dead", queue), e) for e in usual))
    for entry, score in zip(usual, scores, strict=True):
        if score is not None:
            message = client.command("HGET", client.key("dead:messages", queue), entry)
            if message is not None:
                yield LocatedTask("dead", message, entry=entry.encode())
    yield from _look_into_consumers(client, queue, task_id)
    yield from _look_into_dead(client, queue, task_id)


def _in_list(
    state: Literal["pending", "suspects", "limited"],
    length: int,
    position: int,
    message: bytes,
    limit: str | None = None,
) -> LocatedTask:
    ahead = length - position - 1
    return LocatedTask(state, message, position=position, ahead=ahead, limit=limit)


def _look_into_sets(client: RedisClient, queue: str, task_id: str) -> Iterator[LocatedTask]:
    # An id is a UUID: no character of it has a meaning in a pattern.
    pattern = f'{{"v":?,"id":"{task_id}"*'
    for member, score in _scan(client, "ZSCAN", client.key("delayed", queue), pattern):
        yield LocatedTask("delayed", member, due=float(score) / 1_000)
    for member, _ in _scan(client, "ZSCAN", client.key("prioritized", queue), pattern):
        yield LocatedTask("prioritized", member)


def _look_into_list(
    client: RedisClient,
    queue: str,
    state: Literal["pending", "suspects", "limited"],
    task_id: str,
    most: int,
    digest: str | None = None,
) -> Iterator[LocatedTask | None]:
    at, where = 0, state if digest is None else line_of(digest)
    while 0 <= at < most:
        words = (task_id, where, at, _STEP)
        length, at, *found = client.call(ScriptCall("find", queue, words))
        if found:
            position, message = found
            yield _in_list(state, length, position, message, digest)
    if at >= 0:
        yield None


def _look_into_consumers(client: RedisClient, queue: str, task_id: str) -> Iterator[LocatedTask]:
    consumers = _scan(client, "ZSCAN", client.key("consumers", queue))
    names = [consumer.decode(errors="replace") for consumer, _ in consumers]
    for start in range(0, len(names), _CONSUMERS):
        holding = _holding(client, queue, names[start : start + _CONSUMERS])
        pattern = f'{task_id}"*'
        commands: list[tuple[str | int, ...]] = []
        for name in holding:
            claimed = client.key("claimed", queue, name)
            commands.append(("HSCAN", claimed, 0, "MATCH", pattern, "COUNT", _STEP))
            commands.append(("LRANGE", client.key("inbox", queue, name), 0, -1))
        replies = checked(client.commands(commands))
        for at, name in enumerate(holding):
            (cursor, fields), inbox = replies[2 * at : 2 * at + 2]
            messages = list(fields.values())
            if int(cursor) and not messages:  # it holds very many
                pairs = _scan(client, "HSCAN", client.key("claimed", queue, name), pattern)
                messages = [message for _, message in pairs]
            messages += [raw for raw in inbox if raw[13:49] == task_id.encode()]
            for message in messages:
                yield LocatedTask("claimed", message, consumer=name)


def _holding(client: RedisClient, queue: str, names: Sequence[str]) -> list[str]:
    """The consumers that hold anything: most are tombstones, which do not."""
    commands = [("HLEN", client.key("claimed", queue, name)) for name in names]
    commands += [("LLEN", client.key("inbox", queue, name)) for name in names]
    sizes = checked(client.commands(commands))
    return [name for at, name in enumerate(names) if sizes[at] or sizes[at + len(names)]]


def _look_into_dead(client: RedisClient, queue: str, task_id: str) -> Iterator[LocatedTask]:
    for entry in dead.entries_of(client, queue, task_id):
        message = client.command("HGET", client.key("dead:messages", queue), entry)
        if message is not None:
            yield LocatedTask("dead", message, entry=entry)


def _scan(
    client: RedisClient, command: str, key: str, pattern: str = "*"
) -> Iterator[tuple[bytes, Any]]:
    return chain.from_iterable(scan(client, command, key, pattern))
