"""The periodic tasks of one queue, as a scheduler knows them, in the order of their moments."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from fluxqueue_control.redis_client import Packed, packed_words
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.periodic import plan
from fluxqueue_core.periodic.record import Record
from fluxqueue_core.periodic.times import is_moment

from .error_log import ErrorLog


def as_sent(score: bytes | float | None) -> bytes | None:
    """A score as Redis writes it to a script."""
    if isinstance(score, float):
        return repr(score).removesuffix(".0").encode()
    return score


class Ready(NamedTuple):
    """A task's arguments of `tick`, made before its moment.

    Attributes:
        next: the moment that Redis has after the call; '' for none.
        until: until when the arguments are right, in ms since 1970.
        group: what the task has in common with others, as it is sent.
        own: its id and digest, as they are sent.
    """

    next: int | str
    until: float
    group: bytes
    own: bytes


def packed(tasks: Iterable[Ready]) -> Packed:
    """Returns the arguments of one call, in groups."""
    groups: dict[bytes, list[bytes]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task.own)
    parts, count = [], 0
    for group, found in groups.items():
        parts += [group, packed_words((str(len(found)),)), *found]
        count += 5 + 2 * len(found)
    return Packed(b"".join(parts), count)


class PeriodicTask:
    """One periodic task.

    Attributes:
        id: as text.
        raw: the record, as Redis has it.
        record: what it says; None if it can't be read.
        due: its moment, as Redis has it; None if it has none.
        ready: made by `TasksByMoment.prepare`; None before.
        moment: its moment while it waits for that; None if it has none, if a call with it is
            under way, or if another object has replaced this one.
        is_taken: whether `take` has returned it.
    """

    __slots__ = ("due", "id", "is_taken", "moment", "raw", "ready", "record")

    def __init__(self, periodic: str, raw: bytes, record: Record | None, due: bytes | None) -> None:
        self.id = periodic
        self.raw = raw
        self.record = record
        self.due = due
        self.ready: Ready | None = None
        self.moment: float | None = None
        self.is_taken = False

    def made_ready(self, at: plan.Plan, until: float) -> Ready:
        """Makes the arguments of `tick` that do what the plan says."""
        assert self.record is not None and self.due is not None
        group = packed_words((self.due.decode(), str(at.next), str(at.limit), at.events))
        own = packed_words((self.id, self.record.digest))
        self.ready = Ready(at.next, until, group, own)
        return self.ready


class TasksByMoment:
    """The tasks by id, and by the moment that is next."""

    def __init__(self, queue: str, error_log: ErrorLog) -> None:
        self.queue = queue
        self._error_log = error_log
        self._tasks: dict[str, PeriodicTask] = {}
        # The moments, the next one first, and the tasks of each. A task that has another
        # moment by now is skipped.
        self._moments: list[float] = []
        self._at: dict[float, list[PeriodicTask]] = {}
        self._unprepared: deque[PeriodicTask] = deque()

    def __len__(self) -> int:
        return len(self._tasks)

    def items(self) -> list[PeriodicTask]:
        """Returns all tasks."""
        return list(self._tasks.values())

    def put(
        self, name: bytes, raw: bytes | None, due: bytes | None, *, is_refused: bool = False
    ) -> None:
        """Notes what Redis has of a task.

        Args:
            raw: None if it is gone.
            is_refused: its run was refused. If Redis has what this scheduler has sent, another call
                would be refused too.
        """
        try:
            periodic = name.decode()
        except UnicodeDecodeError as error:
            self._error_log.report_queue(self.queue, "read a periodic periodic", error)
            return
        old = self._tasks.get(periodic)
        if raw is None:
            self._forget(periodic)
        elif is_refused and old is not None and old.is_taken and (old.raw, old.due) == (raw, due):
            self.failed(
                periodic, "its message is missing, or can't be read; declare or schedule it again"
            )
        elif old is None or old.is_taken or old.raw != raw or old.due != due:
            record = old.record if old is not None and old.raw == raw else self._read(periodic, raw)
            self._forget(periodic)
            self._tasks[periodic] = PeriodicTask(periodic, raw, record, due)
            self._add(self._tasks[periodic])

    def _forget(self, periodic: str) -> None:
        old = self._tasks.pop(periodic, None)
        if old is not None:
            old.moment = None

    def _read(self, periodic: str, raw: bytes) -> Record | None:
        try:
            return Record.parse(raw)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self.failed(periodic, f"its record can't be read: {error}")
            return None

    def failed(self, periodic: str, error: str) -> None:
        """Logs why a task does not run. One that `take` has returned waits for `retry`."""
        self._error_log.report(
            "periodic.failed",
            f"{self.queue} {periodic}",
            queue=self.queue,
            periodic=periodic,
            error=error,
        )

    def _add(self, task: PeriodicTask) -> None:
        if task.due is None or task.record is None:
            return
        moment = float(task.due)
        if not is_moment(moment):
            self.failed(task.id, f"its moment {moment} is not a time; pause and resume it")
            return
        task.moment = moment
        others = self._at.get(moment)
        if others is None:
            self._at[moment] = [task]
            heappush(self._moments, moment)
        else:
            others.append(task)
        if task.ready is None:
            self._unprepared.append(task)

    def forget_all(self) -> None:
        """Forgets all tasks, before they are read again."""
        self._tasks.clear()
        self._moments.clear()
        self._at.clear()
        self._unprepared.clear()

    def next_moment(self) -> float | None:
        """Returns the moment that is next, in ms since 1970; None if there is none."""
        while self._moments:
            moment = self._moments[0]
            tasks = self._at[moment]
            while tasks and tasks[-1].moment != moment:
                tasks.pop()
            if tasks:
                return moment
            heappop(self._moments)
            del self._at[moment]
        return None

    def take(self, now: int, most: int) -> list[PeriodicTask]:
        """Returns tasks whose moment has come. The caller sets their next one by `fired`, or
        reads them again."""
        found: list[PeriodicTask] = []
        while len(found) < most:
            moment = self.next_moment()
            if moment is None or moment > now:
                break
            tasks = self._at[moment]
            last = tasks[len(found) - most :]
            del tasks[len(found) - most :]
            for task in last:
                if task.moment == moment:
                    task.moment, task.is_taken = None, True
                    found.append(task)
        return found

    def prepare(self) -> bool:
        """Makes the arguments of one task ready; returns whether more wait for that."""
        while self._unprepared:
            task = self._unprepared.popleft()
            if task.moment is not None and task.ready is None:
                self._make_ready(task)
                break
        return bool(self._unprepared)

    def _make_ready(self, task: PeriodicTask) -> Ready | None:
        """Returns None, and logs why, if this machine can't compute its moments."""
        assert task.record is not None and task.due is not None
        due, rules = float(task.due), task.record.rules
        try:
            if due != int(due):
                return task.made_ready(plan.first(rules, due), math.inf)
            following = rules.times.after(int(due))
            until = plan.on_time_until(rules, int(due), following)
            return task.made_ready(plan.single(task.id, rules, int(due), following), until)
        except ConfigurationError as error:
            self.failed(task.id, str(error))
            return None

    def ready(self, task: PeriodicTask, now: int) -> Ready | None:
        """Returns the arguments of `tick` for a task whose moment has come; None if they can't
        be computed."""
        ready = task.ready or self._make_ready(task)
        if ready is not None and now > ready.until:
            assert task.record is not None and task.due is not None
            late = plan.late(task.id, task.record.rules, int(float(task.due)), now)
            ready = task.made_ready(late, math.inf)
        return ready

    def retry(self) -> None:
        """Tries again what could not be computed. No call may be under way."""
        for task in self._tasks.values():
            if task.is_taken:
                task.is_taken = False
                self._add(task)

    def fired(self, task: PeriodicTask) -> None:
        """Notes that a call has done what it asked for."""
        assert task.ready is not None and task.record is not None
        following = task.ready.next
        task.due = None if following == "" else str(following).encode()
        task.ready, task.is_taken = None, False
        if task is not self._tasks.get(task.id):
            return
        if task.due is None and not task.record.declared:
            self._forget(task.id)  # Redis has removed it
        self._add(task)
