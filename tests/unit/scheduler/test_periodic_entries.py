"""The periodic tasks of a queue, as a scheduler knows them."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core.periodic.record import Rules, make
from fluxqueue_core.periodic.times import Times
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.periodic_entries import Entries, Entry, packed

SECOND = 1_000


@pytest.fixture
def entries() -> Entries:
    return Entries("q", ErrorLog())


def put(entries: Entries, entry: str, due: int, declared: bool = False, **times: Any) -> None:
    rules = Rules("work", Times(every=SECOND, **times), catch_up=3, expires=None)
    raw = make(rules, b"{}", declared=declared)
    entries.put(entry.encode(), raw, b"%d" % due)


def ids(found: list[Entry]) -> list[str]:
    return sorted(entry.id for entry in found)


def test_entries_of_one_moment_are_taken_in_parts_and_once(entries: Entries) -> None:
    for entry in "abcde":
        put(entries, entry, 2 * SECOND)
    put(entries, "later", 3 * SECOND)
    assert entries.next_moment() == 2 * SECOND
    assert entries.take(2 * SECOND - 1, 10) == []
    parts = [entries.take(2 * SECOND, 3) for _ in range(3)]
    assert [len(part) for part in parts] == [3, 2, 0]
    assert ids(parts[0] + parts[1]) == list("abcde")
    assert entries.next_moment() == 3 * SECOND


def test_an_entry_with_another_moment_by_now_is_not_taken_at_the_old_one(entries: Entries) -> None:
    put(entries, "a", 2 * SECOND)
    put(entries, "b", 2 * SECOND)
    put(entries, "a", 4 * SECOND)
    entries.put(b"b", None, None)
    assert entries.take(3 * SECOND, 10) == []
    put(entries, "a", 4 * SECOND)
    assert ids(entries.take(9 * SECOND, 10)) == ["a"]


def test_after_a_moment_the_next_one_waits(entries: Entries) -> None:
    put(entries, "a", 2 * SECOND)
    assert entries.prepare() is False
    [entry] = entries.take(2 * SECOND, 10)
    ready = entries.ready(entry, 2 * SECOND)
    assert ready is not None and (ready.next, ready.until) == (3 * SECOND, 3 * SECOND - 1)
    entries.fired(entry)
    assert (entry.due, entries.next_moment()) == (b"3000", 3 * SECOND)


def test_a_prepared_entry_is_planned_again_if_it_is_late(entries: Entries) -> None:
    put(entries, "a", 2 * SECOND)
    entries.prepare()
    [entry] = entries.take(9 * SECOND, 10)
    ready = entries.ready(entry, 9 * SECOND)
    assert ready is not None and ready.next == 10 * SECOND
    assert b"m2000 r7000+0 r8000+0 r9000+0" in ready.group


def test_entries_to_which_the_same_happens_are_one_group(entries: Entries) -> None:
    for entry, due in (("a", 2 * SECOND), ("b", 2 * SECOND), ("c", 3 * SECOND)):
        put(entries, entry, due)
    found = sorted(
        entries.take(3 * SECOND - 1, 9) + entries.take(3 * SECOND, 9), key=lambda e: e.id
    )
    ready = [made for entry in found if (made := entries.ready(entry, 2 * SECOND))]
    call = packed(ready)
    words = call.bytes.split(b"\r\n")[1::2]
    assert len(words) == call.count == 2 * 5 + 3 * 2
    assert words[:6] == [b"2000", b"3000", b"", b"r2000+0", b"2", b"a"]
    assert words[7] == b"b" and words[9:15] == [b"3000", b"4000", b"", b"r3000+0", b"1", b"c"]


@pytest.mark.parametrize("declared", [False, True])
def test_a_scheduled_entry_is_forgotten_after_its_last_moment(
    entries: Entries, declared: bool
) -> None:
    put(entries, "a", 2 * SECOND, declared, end=2 * SECOND)
    [entry] = entries.take(2 * SECOND, 1)
    assert entries.ready(entry, 2 * SECOND) is not None
    entries.fired(entry)
    assert (entries.next_moment(), len(entries)) == (None, int(declared))


def test_an_entry_that_could_not_be_sent_is_tried_again(entries: Entries) -> None:
    put(entries, "a", 2 * SECOND)
    assert ids(entries.take(2 * SECOND, 1)) == ["a"] and entries.next_moment() is None
    entries.retry()
    assert ids(entries.take(2 * SECOND, 1)) == ["a"]
