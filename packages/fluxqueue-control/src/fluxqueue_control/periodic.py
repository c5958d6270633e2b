"""The periodic tasks of a queue: read, paused, resumed, removed, and run by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from fluxqueue_core import new_task_id
from fluxqueue_core.periodic.plan import FAR
from fluxqueue_core.periodic.record import Record, Rules
from fluxqueue_core.periodic.times import is_moment

from .errors import checked
from .redis_client import Audit, RedisClient, ScriptCall
from .scanning import all_pages, each_once

Kind: TypeAlias = Literal["run", "missed", "skipped", "by hand"]
_KINDS: dict[str, Kind] = {"r": "run", "m": "missed", "s": "skipped", "h": "by hand"}
_RUN = re.compile(r"(-?\d{1,15}):(-?\d{1,15}):([rmsh])", re.ASCII)
# How often `run_now` tries if the periodic task changes meanwhile.
_TRIES = 10


class RunInProgress(RuntimeError):
    """The last run of a periodic task has not ended, and its runs may not overlap."""


class UnreadablePeriodicTask(ValueError):
    """A later release, or another program, has written a periodic task."""


@dataclass(frozen=True, slots=True)
class Run:
    """A moment of a periodic task that has come.

    Attributes:
        kind: `run`: a task was enqueued; `missed`: this moment, and those up to the next entry
            of the history, were not caught up; `skipped`: the last run had not ended; `by hand`:
            `run_now` enqueued a task.
        moment: seconds since 1970.
        late: seconds from the moment until the task was enqueued.
    """

    kind: Kind
    moment: float
    late: float


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A periodic task, as Redis has it.

    Attributes:
        id: its id in the queue.
        rules: when it runs, and how; None if this release can't read them.
        declared: whether the code of a worker declares it; otherwise a call has scheduled it.
        paused: whether it has no moments until it is resumed.
        next: its next moment, in seconds since 1970; None if there is none, or if a scheduler
            has not computed it yet.
        runs: its history, the newest first: about the last 30.
    """

    id: str
    rules: Rules | None
    declared: bool
    paused: bool
    next: float | None
    runs: Sequence[Run]

    def upcoming(self, count: int) -> list[float]:
        """Returns the next `count` moments, in seconds since 1970, or fewer if there are fewer.

        Raises:
            ConfigurationError: this machine does not know the time zone.
        """
        found: list[float] = []
        moment = None if self.next is None else round(self.next * 1_000)
        while moment is not None and self.rules is not None and len(found) < count:
            found.append(moment / 1_000)
            moment = self.rules.times.after(moment)
        return found


@dataclass(frozen=True, slots=True)
class PeriodicPage:
    """Some periodic tasks of a queue.

    Attributes:
        cursor: leads to the next page; None on the last one.
    """

    tasks: Sequence[PeriodicTask]
    cursor: int | None


def read_page(
    client: RedisClient, queue: str, cursor: int | None = None, limit: int = 100
) -> PeriodicPage:
    """Reads about `limit` periodic tasks, in no order. One that stays is on some page; one may be
    on two pages.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    words = ("HSCAN", client.key("periodic", queue), cursor or 0, "COUNT", limit)
    following, found = client.command(*words)
    flat = [part for pair in found.items() for part in pair] if isinstance(found, dict) else found
    records = dict(zip(flat[::2], flat[1::2], strict=True))
    tasks = _read(client, queue, records)
    return PeriodicPage(tasks, int(following) or None)


def scan(client: RedisClient, queue: str) -> Iterator[PeriodicTask]:
    """Reads all periodic tasks of a queue, page by page, and yields each of them once. Raises as
    `read_page`."""
    pages = all_pages(lambda cursor: read_page(client, queue, cursor))
    return each_once((page.tasks for page in pages), lambda task: task.id)


def show(client: RedisClient, queue: str, periodic_id: str) -> PeriodicTask | None:
    """Reads one periodic task; None if there is none with this id. Raises as `read_page`."""
    raw = client.command("HGET", client.key("periodic", queue), periodic_id)
    return None if raw is None else _read(client, queue, {periodic_id.encode(): raw})[0]


def pause(client: RedisClient, queue: str, periodic_id: str) -> bool:
    """Pauses a periodic task: it has no moments until it is resumed. A new declaration or
    schedule leaves it paused. Returns whether there is one. Raises as `read_page`."""
    return _change(client, queue, "pause", periodic_id) != "absent"


def resume(client: RedisClient, queue: str, periodic_id: str) -> bool:
    """Resumes a periodic task, from its first moment after now. Returns whether there is one.
    Raises as `read_page`."""
    return _change(client, queue, "resume", periodic_id) != "absent"


def remove(
    client: RedisClient, queue: str, periodic_id: str
) -> Literal["removed", "absent", "declared"]:
    """Removes a periodic task that a call has scheduled. `declared`: a worker's code declares it
    and would do so again; pause it. Raises as `read_page`."""
    word = _change(client, queue, "remove", periodic_id)
    return cast("Literal['removed', 'absent', 'declared']", word)


def run_now(client: RedisClient, queue: str, periodic_id: str) -> str | None:
    """Enqueues a run now, also of a paused periodic task; its next moment stays. Returns the id
    of the task; None if there is no periodic task with this id.

    Raises:
        RunInProgress: it has overlap="skip", and its last run has not ended.
        UnreadablePeriodicTask: this release can't read it.
        RuntimeError: other programs change it all the time.
        ResponseError, UNAVAILABLE: as `read_page`; the run may be in the queue.
    """
    for _ in range(_TRIES):
        raw, due, clock = checked(
            client.commands(
                [
                    ("HGET", client.key("periodic", queue), periodic_id),
                    ("ZSCORE", client.key("periodic:due", queue), periodic_id),
                    ("TIME",),
                ]
            )
        )
        if raw is None:
            return None
        record = _record(raw)
        if record is None:
            raise UnreadablePeriodicTask(
                f"the periodic task {periodic_id!r} of queue {queue!r} can't be read"
            )
        limit: int | str = ""
        if record.rules.expires == "next":
            following = _moment(due)
            limit = FAR if following is None else following
        elif record.rules.expires is not None:
            now = int(clock[0]) * 1_000 + int(clock[1]) // 1_000
            limit = now + int(record.rules.expires)
        task_id = new_task_id()
        words = (0, 0, "", "", limit, f"h{task_id}", 1, periodic_id, record.digest)
        _, _, differing, busy, _ = client.call(
            ScriptCall("tick", queue, words, audit=Audit("periodic run", periodic_id))
        )
        if busy:
            raise RunInProgress(
                f"the last run of the periodic task {periodic_id!r} of queue {queue!r} has not "
                f"ended, and its runs may not overlap"
            )
        if not differing:
            return task_id
    raise RuntimeError(f"the periodic task {periodic_id!r} of queue {queue!r} changes all the time")


def _change(client: RedisClient, queue: str, what: str, periodic_id: str) -> str:
    audit = Audit(f"periodic {what}", periodic_id)
    [word] = client.call(ScriptCall("schedule", queue, (what, periodic_id), audit=audit))
    return str(word.decode())


def _read(client: RedisClient, queue: str, records: dict[bytes, bytes]) -> list[PeriodicTask]:
    replies = checked(
        client.commands(
            command
            for periodic_id in records
            for command in (
                ("ZSCORE", client.key("periodic:due", queue), periodic_id),
                ("HGET", client.key("periodic:runs", queue), periodic_id),
            )
        )
    )
    found = zip(records.items(), replies[::2], replies[1::2], strict=True)
    return [_task(periodic_id, raw, due, runs) for (periodic_id, raw), due, runs in found]


def _task(
    periodic_id: bytes, raw: bytes, due: bytes | float | None, runs: bytes | None
) -> PeriodicTask:
    following = _moment(due)
    seconds = None if following is None else following / 1_000
    name, history = periodic_id.decode(errors="replace"), _runs(runs or b"")
    record = _record(raw)
    if record is None:
        return PeriodicTask(name, None, False, False, seconds, history)
    return PeriodicTask(name, record.rules, record.declared, record.paused, seconds, history)


def _record(raw: bytes) -> Record | None:
    """Returns None if this release can't read the record."""
    try:
        return Record.parse(raw)
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _moment(due: bytes | float | None) -> int | None:
    """Returns a moment in ms since 1970; None if a scheduler has not computed it yet, or if
    another program has written something else."""
    score = None if due is None else float(due)
    return None if score is None or not is_moment(score) or score != int(score) else int(score)


def _runs(raw: bytes) -> list[Run]:
    """Reads a history, without the words that another program has written. A run by hand is written
    at once, and a moment somewhat later, so they are put in order."""
    runs = []
    for word in raw.decode("ascii", "replace").split():
        found = _RUN.fullmatch(word)
        if found is not None and is_moment(moment := int(found[1])):
            runs.append(Run(_KINDS[found[3]], moment / 1_000, int(found[2]) / 1_000))
    return sorted(runs, key=lambda run: run.moment, reverse=True)
