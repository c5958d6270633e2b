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
    """An entry's arguments of `tick`, made before its moment.

    Attributes:
        next: the moment that Redis has after the call; '' for none.
        until: until when the arguments are right, in ms since 1970.
        group: what the entry has in common with others, as it is sent.
        own: its id and digest, as they are sent.
    """

    next: int | str
    until: float
    group: bytes
    own: bytes


def packed(entries: Iterable[Ready]) -> Packed:
    """Returns the arguments of one call, in groups."""
    groups: dict[bytes, list[bytes]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry.own)
    parts, count = [], 0
    for group, found in groups.items():
        parts += [group, packed_words((str(len(found)),)), *found]
        count += 5 + 2 * len(found)
    return Packed(b"".join(parts), count)


class Entry:
    """One periodic task.

    Attributes:
        id: as text.
        raw: the record, as Redis has it.
        record: what it says; None if it can't be read.
        due: its moment, as Redis has it; None if it has none.
        ready: made by `Entries.prepare`; None before.
        moment: its moment while it waits for that; None if it has none, if a call with it is
            under way, or if another object has replaced this one.
        is_taken: whether `take` has returned it.
    """

    __slots__ = ("due", "id", "is_taken", "moment", "raw", "ready", "record")

    def __init__(self, entry: str, raw: bytes, record: Record | None, due: bytes | None) -> None:
        self.id = entry
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


class Entries:
    """The entries by id, and by the moment that is next."""

    def __init__(self, queue: str, error_log: ErrorLog) -> None:
        self.queue = queue
        self._error_log = error_log
        self._entries: dict[str, Entry] = {}
        # The moments, the next one first, and the entries of each. An entry
        # that has another moment by now is skipped.
        self._moments: list[float] = []
        self._at: dict[float, list[Entry]] = {}
        self._unprepared: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> list[Entry]:
        """Returns all entries."""
        return list(self._entries.values())

    def put(
        self, name: bytes, raw: bytes | None, due: bytes | None, *, is_refused: bool = False
    ) -> None:
        """Notes what Redis has of an entry.

        Args:
            raw: None if it is gone.
            is_refused: its run was refused. If Redis has what this scheduler has sent, another call
                would be refused too.
        """
        try:
            entry = name.decode()
        except UnicodeDecodeError as error:
            self._error_log.report_queue(self.queue, "read a periodic task", error)
            return
        old = self._entries.get(entry)
        if raw is None:
            self._forget(entry)
        elif is_refused and old is not None and old.is_taken and (old.raw, old.due) == (raw, due):
            self.failed(
                entry, "its message is missing, or can't be read; declare or schedule it again"
            )
        elif old is None or old.is_taken or old.raw != raw or old.due != due:
            record = old.record if old is not None and old.raw == raw else self._read(entry, raw)
            self._forget(entry)
            self._entries[entry] = Entry(entry, raw, record, due)
            self._add(self._entries[entry])

    def _forget(self, entry: str) -> None:
        old = self._entries.pop(entry, None)
        if old is not None:
            old.moment = None

    def _read(self, entry: str, raw: bytes) -> Record | None:
        try:
            return Record.parse(raw)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self.failed(entry, f"its record can't be read: {error}")
            return None

    def failed(self, entry: str, error: str) -> None:
        """Logs why an entry does not run. One that `take` has returned waits for `retry`."""
        self._error_log.report(
            "periodic.failed", f"{self.queue} {entry}", queue=self.queue, entry=entry, error=error
        )

    def _add(self, entry: Entry) -> None:
        if entry.due is None or entry.record is None:
            return
        moment = float(entry.due)
        if not is_moment(moment):
            self.failed(entry.id, f"its moment {moment} is not a time; pause and resume it")
            return
        entry.moment = moment
        others = self._at.get(moment)
        if others is None:
            self._at[moment] = [entry]
            heappush(self._moments, moment)
        else:
            others.append(entry)
        if entry.ready is None:
            self._unprepared.append(entry)

    def forget_all(self) -> None:
        """Forgets all entries, before they are read again."""
        self._entries.clear()
        self._moments.clear()
        self._at.clear()
        self._unprepared.clear()

    def next_moment(self) -> float | None:
        """Returns the moment that is next, in ms since 1970; None if there is none."""
        while self._moments:
            moment = self._moments[0]
            entries = self._at[moment]
            while entries and entries[-1].moment != moment:
                entries.pop()
            if entries:
                return moment
            heappop(self._moments)
            del self._at[moment]
        return None

    def take(self, now: int, most: int) -> list[Entry]:
        """Returns entries whose moment has come. The caller sets their next one by `fired`, or
        reads them again."""
        found: list[Entry] = []
        while len(found) < most:
            moment = self.next_moment()
            if moment is None or moment > now:
                break
            entries = self._at[moment]
            last = entries[len(found) - most :]
            del entries[len(found) - most :]
            for entry in last:
                if entry.moment == moment:
                    entry.moment, entry.is_taken = None, True
                    found.append(entry)
        return found

    def prepare(self) -> bool:
        """Makes the arguments of one entry ready; returns whether more wait for that."""
        while self._unprepared:
            entry = self._unprepared.popleft()
            if entry.moment is not None and entry.ready is None:
                self._make_ready(entry)
                break
        return bool(self._unprepared)

    def _make_ready(self, entry: Entry) -> Ready | None:
        """Returns None, and logs why, if this machine can't compute its moments."""
        assert entry.record is not None and entry.due is not None
        due, rules = float(entry.due), entry.record.rules
        try:
            if due != int(due):
                return entry.made_ready(plan.first(rules, due), math.inf)
            following = rules.times.after(int(due))
            until = plan.on_time_until(rules, int(due), following)
            return entry.made_ready(plan.single(entry.id, rules, int(due), following), until)
        except ConfigurationError as error:
            self.failed(entry.id, str(error))
            return None

    def ready(self, entry: Entry, now: int) -> Ready | None:
        """Returns the arguments of `tick` for an entry whose moment has come; None if they can't
        be computed."""
        ready = entry.ready or self._make_ready(entry)
        if ready is not None and now > ready.until:
            assert entry.record is not None and entry.due is not None
            late = plan.late(entry.id, entry.record.rules, int(float(entry.due)), now)
            ready = entry.made_ready(late, math.inf)
        return ready

    def retry(self) -> None:
        """Tries again what could not be computed. No call may be under way."""
        for entry in self._entries.values():
            if entry.is_taken:
                entry.is_taken = False
                self._add(entry)

    def fired(self, entry: Entry) -> None:
        """Notes that a call has done what it asked for."""
        assert entry.ready is not None and entry.record is not None
        following = entry.ready.next
        entry.due = None if following == "" else str(following).encode()
        entry.ready, entry.is_taken = None, False
        if entry is not self._entries.get(entry.id):
            return
        if entry.due is None and not entry.record.declared:
            self._forget(entry.id)  # Redis has removed it
        self._add(entry)
