"""Enqueues dead tasks again: some of them, or all that a function chooses, at a rate."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from fluxqueue_core import requeued_message, script_keys
from fluxqueue_core.errors import MalformedMessage

from . import dead
from .dead import DeadTask
from .noting import noted
from .pacing import keep_rate
from .redis_client import Audit, RedisClient, ScriptCall
from .scanning import all_pages

Verdict: TypeAlias = Literal["requeued", "absent", "expired", "held", "duplicate", "unreadable"]

# Tasks and bytes that one call moves, about: two milliseconds of Redis.
_BATCH = 60
_MOST_BYTES = 262_144
# Where the id is in a message.
_ID = slice(13, 49)


@dataclass(frozen=True, slots=True)
class Requeued:
    """The answer for one dead task.

    Attributes:
        verdict: `requeued`: it waits for a worker. Otherwise the dead set still has it, except
            for `absent`: it is no longer there, or has died again since it was read. `expired`:
            its expiry has passed. `held`: another task has its lock. `duplicate`: a task with its
            id was in the queue when it was parked. `unreadable`: its message is missing, or
            malformed.
        holder: the id of the task that has the lock, if it is `held`.
    """

    task: DeadTask
    verdict: Verdict
    holder: str | None = None


def requeue(
    client: RedisClient,
    queue: str,
    tasks: Sequence[DeadTask],
    *,
    keep_expiry: bool = True,
    is_audited: bool = True,
) -> list[Requeued]:
    """Enqueues dead tasks again, with their ids and from their first attempt, behind what waits.

    Each moves in one step, and only if the dead set has it as it was read. So a call can be
    repeated, and of two operators one requeues a task. A unique task takes its lock again. The
    outcome that was kept is removed, because the task is open again.

    Args:
        tasks: as `dead.read_page` or `dead.show` returned them. Messages that a page has left out
            are read again.
        keep_expiry: False: a task with an expiry gets none.
        is_audited: whether each call writes an entry of the audit; False if the caller does.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work. Tasks may be requeued.
    """
    done: dict[int, Requeued] = {}
    batch: dict[int, tuple[DeadTask, bytes]] = {}

    def move() -> None:
        moved = _requeue(client, queue, list(batch.values()), is_audited) if batch else []
        done.update(zip(batch, moved, strict=True))
        batch.clear()

    size = 0
    for position, given in enumerate(tasks):
        task, message = _again(client, queue, given, keep_expiry)
        if isinstance(message, str):
            done[position] = Requeued(task, message)
            continue
        if len(batch) >= _BATCH or size + len(message) > _MOST_BYTES:
            move()
            size = 0
        batch[position] = task, message
        size += len(message)
    move()
    return [done[position] for position in range(len(tasks))]


def replay(
    client: Callable[[], RedisClient],
    queue: str,
    *,
    wanted: Callable[[DeadTask], bool] | None = None,
    rate: float | None = None,
    limit: int | None = None,
    keep_expiry: bool = True,
    group: str | None = None,
) -> Iterator[Requeued]:
    """Requeues the dead tasks of a queue page by page, and yields the answer for
    each.

    It can be ended at any moment, and begun again: a task that was requeued is no longer in the
    dead set. It sees no task that dies after it has begun.

    Args:
        client: returns the client for the next call: in a cluster, of the master that has the
            queue then.
        wanted: chooses tasks, which it gets whole; None: all of them.
        rate: tasks per second at most; None for no bound.
        limit: the most tasks to requeue.
        group: the digest of a group, to requeue only its tasks (`groups.read_page`).

    Raises:
        ConfigurationError, ResponseError, UNAVAILABLE: as `requeue`.
    """
    pages = all_pages(lambda cursor: dead.read_page(client(), queue, cursor, 100, group=group))
    tasks = (task for page in pages for task in page.tasks)
    if wanted is not None:
        chooses = wanted
        tasks = (
            task
            for task in tasks
            if (whole := dead.read_whole(client(), queue, task)) is not None and chooses(whole)
        )
    on = "dead tasks" if group is None else f"group {group}"
    return _noted(client, queue, on, tasks, rate, limit, keep_expiry)


def replay_each(
    client: Callable[[], RedisClient],
    queue: str,
    tasks: Iterable[DeadTask],
    *,
    rate: float | None = None,
    limit: int | None = None,
    keep_expiry: bool = True,
) -> Iterator[Requeued]:
    """Requeues some dead tasks, in their order, and yields the answer for each. Arguments and
    errors are those of `replay`."""
    return _noted(client, queue, "named dead tasks", tasks, rate, limit, keep_expiry)


def _noted(
    client: Callable[[], RedisClient],
    queue: str,
    on: str,
    tasks: Iterable[DeadTask],
    rate: float | None,
    limit: int | None,
    keep_expiry: bool,
) -> Iterator[Requeued]:
    """Requeues tasks between two entries of the audit."""
    on += "" if limit is None else f", {limit} at most"
    with noted(client, queue, Audit("replay", on)) as outcome:
        for one in _each(client, queue, tasks, rate, limit, keep_expiry):
            outcome["done" if one.verdict == "requeued" else one.verdict] += 1
            yield one


def _each(
    client: Callable[[], RedisClient],
    queue: str,
    tasks: Iterable[DeadTask],
    rate: float | None,
    limit: int | None,
    keep_expiry: bool,
) -> Iterator[Requeued]:
    # A tenth of a second's worth at once, at most: workers get them evenly.
    size = _BATCH if rate is None else max(1, min(_BATCH, int(rate / 10)))
    left = iter(tasks)
    began, count = time.monotonic(), 0
    while limit is None or count < limit:
        some = list(islice(left, size if limit is None else min(size, limit - count)))
        if not some:
            return
        keep_rate(began, count, rate)
        for one in requeue(client(), queue, some, keep_expiry=keep_expiry, is_audited=False):
            count += one.verdict == "requeued"
            yield one


def _again(
    client: RedisClient, queue: str, task: DeadTask, keep_expiry: bool
) -> tuple[DeadTask, bytes | Verdict]:
    """The task with its message, and the message to enqueue, or why there is none."""
    if task.message is None:
        # The page has left it out, or another operator has removed the task while it was read.
        whole = dead.show(client, queue, task.entry)
        if whole is None or whole.died_at != task.died_at:
            return task, "absent"
        task = whole
    if task.message is None:
        return task, "unreadable"
    if task.reason == "duplicate":
        return task, "duplicate"
    try:
        return task, requeued_message(task.message, keep_expiry)
    except MalformedMessage:
        return task, "unreadable"


def _requeue(
    client: RedisClient, queue: str, batch: Sequence[tuple[DeadTask, bytes]], is_audited: bool
) -> list[Requeued]:
    keys = len(script_keys("requeue", queue, namespace=client.namespace))
    words: list[str | bytes | float] = []
    results: list[str] = []
    for task, message in batch:
        assert task.message is not None
        place: str | int = ""
        # Only a message with options has kept an outcome.
        if message.startswith(b'{"v":2,'):
            results.append(message[_ID].decode(errors="replace"))
            place = keys + len(results)
        digest = hashlib.sha1(task.message, usedforsecurity=False).hexdigest()
        words += [task.entry, round(task.died_at * 1_000), digest, message, place]
    one = batch[0][0].entry.decode(errors="replace")
    audit = Audit("replay", one if len(batch) == 1 else f"{len(batch)} dead tasks")
    replies = client.call(
        ScriptCall("requeue", queue, words, results=results, audit=audit if is_audited else None)
    )
    return [_read(task, reply) for (task, _), reply in zip(batch, replies, strict=True)]


def _read(task: DeadTask, reply: int | bytes) -> Requeued:
    if isinstance(reply, bytes):
        return Requeued(task, "held", reply.decode(errors="replace"))
    verdicts: dict[int, Verdict] = {1: "requeued", 0: "absent", -1: "expired"}
    return Requeued(task, verdicts[reply])
