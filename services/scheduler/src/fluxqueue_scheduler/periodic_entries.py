"""The periodic tasks of one queue, as a scheduler knows them, in the order of their moments."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple

from fluxqueue_control.redis_client import packed_words
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.periodic import plan
from fluxqueue_core.periodic.record import Record

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
        packed: the arguments, as they are sent.
    """

    next: int | str
    packed: bytes


class Entry:
    """One periodic task.

    Attributes:
        id: as text.
        raw: the record, as Redis has it.
        record: what it says; None if it can't be read.
        due: its moment, as Redis has it; None if it has none.
        ready: made by `Entries.prepare`; None before.
        is_taken: whether a call with it is under way.
    """

    __slots__ = ("due", "id", "is_taken", "raw", "ready", "record")

    def __init__(self, entry: str, raw: bytes, record: Record | None, due: bytes | None) -> None:
        self.id = entry
        self.raw = raw
        self.record = record
        self.due = due
        self.ready: Ready | None = None
        self.is_taken = False

    def is_due_at(self, moment: float) -> bool:
        """Whether this is its moment."""
        return self.due is not None and float(self.due) == moment

    def made_ready(self, at: plan.Plan) -> Ready:
        """Makes the six arguments of `tick` that do what the plan says."""
        assert self.record is not None and self.due is not None
        due = self.due.decode()
        words = (self.id, self.record.digest, due, str(at.next), str(at.limit), at.events)
        self.ready = Ready(at.next, packed_words(words))
        return self.ready


class Entries:
    """The entries by id, and by the moment that is next."""

    def __init__(self, queue: str, error_log: ErrorLog) -> None:
        self.queue = queue
        self._error_log = error_log
        self._entries: dict[str, Entry] = {}
        # Moments and ids. An item whose entry has another moment by now is skipped.
        self._moments: list[tuple[float, str]] = []
        self._unprepared: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> list[Entry]:
        """Returns all entries."""
        return list(self._entries.values())

    def put(self, name: bytes, raw: bytes | None, due: bytes | None) -> None:
        """Notes what Redis has of an entry; `raw` is None if it is gone."""
        try:
            entry = name.decode()
        except UnicodeDecodeError as error:
            self._error_log.report_queue(self.queue, "read a periodic task", error)
            return
        old = self._entries.get(entry)
        if raw is None:
            self._entries.pop(entry, None)
        elif old is None or old.is_taken or old.raw != raw or old.due != due:
            record = old.record if old is not None and old.raw == raw else self._read(entry, raw)
            self._entries[entry] = Entry(entry, raw, record, due)
            self._add(self._entries[entry])

    def _read(self, entry: str, raw: bytes) -> Record | None:
        try:
            return Record.parse(raw)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self._failed(entry, f"its record can't be read: {error}")
            return None

    def _failed(self, entry: str, error: str) -> None:
        self._error_log.report(
            "periodic.failed", f"{self.queue} {entry}", queue=self.queue, entry=entry, error=error
        )

    def _add(self, entry: Entry) -> None:
        if entry.due is not None and entry.record is not None:
            heappush(self._moments, (float(entry.due), entry.id))
            self._unprepared.append(entry.id)

    def forget_all(self) -> None:
        """Forgets all entries, before they are read again."""
        self._entries.clear()
        self._moments.clear()
        self._unprepared.clear()

    def next_moment(self) -> float | None:
        """Returns the moment that is next, in ms since 1970; None if there is none."""
        while self._moments:
            moment, name = self._moments[0]
            entry = self._entries.get(name)
            if entry is not None and not entry.is_taken and entry.is_due_at(moment):
                return moment
            heappop(self._moments)
        return None

    def take(self, now: int, most: int) -> list[Entry]:
        """Returns entries whose moment has come. The caller sets their next one by `fired`, or
        reads them again."""
        found: list[Entry] = []
        while len(found) < most:
            moment = self.next_moment()
            if moment is None or moment > now:
                break
            entry = self._entries[heappop(self._moments)[1]]
            entry.is_taken = True
            found.append(entry)
        return found

    def prepare(self) -> bool:
        """Makes the arguments of one entry ready; returns whether more wait for that."""
        while self._unprepared:
            entry = self._entries.get(self._unprepared.popleft())
            if entry is not None and entry.ready is None and entry.due is not None:
                self._make_ready(entry)
                break
        return bool(self._unprepared)

    def _make_ready(self, entry: Entry) -> Ready | None:
        """Returns None, and logs why, if this machine can't compute its moments."""
        assert entry.record is not None and entry.due is not None
        due, rules = float(entry.due), entry.record.rules
        try:
            if due != int(due):
                return entry.made_ready(plan.first(rules, due))
            following = rules.times.after(int(due))
            return entry.made_ready(plan.single(entry.id, rules, int(due), following))
        except ConfigurationError as error:
            self._failed(entry.id, str(error))
            return None

    def arguments(self, entry: Entry, now: int) -> bytes | None:
        """Returns the arguments of `tick` for an entry whose moment has come; None if they can't
        be computed."""
        ready = entry.ready or self._make_ready(entry)
        if ready is None:
            return None
        assert entry.record is not None and entry.due is not None
        due, rules = float(entry.due), entry.record.rules
        following = ready.next if isinstance(ready.next, int) else None
        if due == int(due) and not plan.is_single(rules, int(due), now, following):
            ready = entry.made_ready(plan.late(entry.id, rules, int(due), now))
        return ready.packed

    def retry(self) -> None:
        """Tries again what could not be computed. No call may be under way."""
        for entry in self._entries.values():
            if entry.is_taken:
                entry.is_taken = False
                self._add(entry)

    def fired(self, entry: Entry) -> None:
        """Notes that a call has done what it asked for."""
        assert entry.ready is not None
        following = entry.ready.next
        entry.due = None if following == "" else str(following).encode()
        entry.ready, entry.is_taken = None, False
        if entry is self._entries.get(entry.id):
            self._add(entry)
