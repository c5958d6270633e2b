"""The locks of unique tasks in a test, by its clock. `lua/enqueue_unique.lua` has the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fluxqueue.enqueue_interface import CallLock
from fluxqueue.unique import RouteLock

from .record import WAITING, Place, TaskRecord


@dataclass
class _Held:
    """A lock: the task that has it, since when, and when the time ends it."""

    id: str
    record: TaskRecord
    since: float
    until: float


class Locks:
    """The locks of all queues of a test.

    Args:
        replace: ends a task that was still delayed, because another call replaces it.
    """

    def __init__(self, replace: Callable[[TaskRecord], None]) -> None:
        self._replace = replace
        self._held: dict[tuple[Place, str], _Held] = {}

    def _find(self, place: Place, digest: str, now: float) -> _Held | None:
        held = self._held.get((place, digest))
        return held if held is not None and held.until > now else None

    def take(self, record: TaskRecord, terms: RouteLock, lock: CallLock, now: float) -> str | None:
        """Takes the lock of a call, which may put the call off. Returns the id of the task in its
        place, or None."""
        digest, _, has_chosen_id = lock
        place, how = record.place, terms.conflict
        own = self._find(place, record.id, now) if has_chosen_id else None
        if own is not None:
            return own.id
        since, held = now, self._find(place, digest, now)
        if held is not None:
            waits = held.record.state == WAITING and held.record.due > now
            replaces = waits and how in ("replace", "debounce")
            if not replaces and how != "debounce":
                return held.id
            if replaces:
                self._replace(held.record)
                if how == "debounce":
                    since = held.since
                    record.due = min(record.due, since + terms.most_ms / 1000)
        waiting = 0.0 if how == "throttle" else max(record.due - now, 0.0)
        until = now + terms.ttl_ms / 1000 + waiting
        self._held[place, digest] = _Held(record.id, record, since, until)
        if how != "throttle":
            record.lock = digest, terms.ttl_ms, terms.is_until_start
        if has_chosen_id:
            self._held[place, record.id] = _Held(record.id, record, now, until)
        return None

    def begun(self, record: TaskRecord) -> None:
        """An attempt begins."""
        if record.lock is not None and record.lock[2]:
            self._release(record, record.lock[0])

    def put_off(self, record: TaskRecord) -> None:
        """Another attempt follows: the lock lives its time from there on."""
        if record.lock is None:
            return
        for digest in (record.lock[0], record.id):
            held = self._held.get((record.place, digest))
            if held is not None and held.id == record.id:
                held.until = record.due + record.lock[1] / 1000

    def ended(self, record: TaskRecord) -> None:
        """The task has ended."""
        if record.lock is not None:
            self._release(record, record.lock[0])
            self._release(record, record.id)

    def _release(self, record: TaskRecord, digest: str) -> None:
        held = self._held.get((record.place, digest))
        if held is not None and held.id == record.id:
            del self._held[record.place, digest]
