"""The periodic tasks of a queue, as a scheduler knows them."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core.periodic.record import Rules, make
from fluxqueue_core.periodic.times import Times
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.periodic_tasks import PeriodicTask, TasksByMoment, packed

SECOND = 1_000


@pytest.fixture
def tasks() -> TasksByMoment:
    return TasksByMoment("q", ErrorLog())


def put(tasks: TasksByMoment, task: str, due: int, declared: bool = False, **times: Any) -> None:
    rules = Rules("work", Times(every=SECOND, **times), catch_up=3, expires=None)
    raw = make(rules, b"{}", declared=declared)
    tasks.put(task.encode(), raw, b"%d" % due)


def ids(found: list[PeriodicTask]) -> list[str]:
    return sorted(task.id for task in found)


def test_entries_of_one_moment_are_taken_in_parts_and_once(tasks: TasksByMoment) -> None:
    for task in "abcde":
        put(tasks, task, 2 * SECOND)
    put(tasks, "later", 3 * SECOND)
    assert tasks.next_moment() == 2 * SECOND
    assert tasks.take(2 * SECOND - 1, 10) == []
    parts = [tasks.take(2 * SECOND, 3) for _ in range(3)]
    assert [len(part) for part in parts] == [3, 2, 0]
    assert ids(parts[0] + parts[1]) == list("abcde")
    assert tasks.next_moment() == 3 * SECOND


def test_one_with_another_moment_by_now_is_not_taken_at_the_old_one(
    tasks: TasksByMoment,
) -> None:
    put(tasks, "a", 2 * SECOND)
    put(tasks, "b", 2 * SECOND)
    put(tasks, "a", 4 * SECOND)
    tasks.put(b"b", None, None)
    assert tasks.take(3 * SECOND, 10) == []
    put(tasks, "a", 4 * SECOND)
    assert ids(tasks.take(9 * SECOND, 10)) == ["a"]


def test_after_a_moment_the_next_one_waits(tasks: TasksByMoment) -> None:
    put(tasks, "a", 2 * SECOND)
    assert tasks.prepare() is False
    [task] = tasks.take(2 * SECOND, 10)
    ready = tasks.ready(task, 2 * SECOND)
    assert ready is not None and (ready.next, ready.until) == (3 * SECOND, 3 * SECOND - 1)
    tasks.fired(task)
    assert (task.due, tasks.next_moment()) == (b"3000", 3 * SECOND)


def test_a_prepared_entry_is_planned_again_if_it_is_late(tasks: TasksByMoment) -> None:
    put(tasks, "a", 2 * SECOND)
    tasks.prepare()
    [task] = tasks.take(9 * SECOND, 10)
    ready = tasks.ready(task, 9 * SECOND)
    assert ready is not None and ready.next == 10 * SECOND
    assert b"m2000 r7000+0 r8000+0 r9000+0" in ready.group


def test_entries_to_which_the_same_happens_are_one_group(tasks: TasksByMoment) -> None:
    for task, due in (("a", 2 * SECOND), ("b", 2 * SECOND), ("c", 3 * SECOND)):
        put(tasks, task, due)
    found = sorted(tasks.take(3 * SECOND - 1, 9) + tasks.take(3 * SECOND, 9), key=lambda e: e.id)
    ready = [made for task in found if (made := tasks.ready(task, 2 * SECOND))]
    call = packed(ready)
    words = call.bytes.split(b"\r\n")[1::2]
    assert len(words) == call.count == 2 * 5 + 3 * 2
    assert words[:6] == [b"2000", b"3000", b"", b"r2000+0", b"2", b"a"]
    assert words[7] == b"b" and words[9:15] == [b"3000", b"4000", b"", b"r3000+0", b"1", b"c"]


@pytest.mark.parametrize("declared", [False, True])
def test_a_scheduled_entry_is_forgotten_after_its_last_moment(
    tasks: TasksByMoment, declared: bool
) -> None:
    put(tasks, "a", 2 * SECOND, declared, end=2 * SECOND)
    [task] = tasks.take(2 * SECOND, 1)
    assert tasks.ready(task, 2 * SECOND) is not None
    tasks.fired(task)
    assert (tasks.next_moment(), len(tasks)) == (None, int(declared))


def test_a_task_that_could_not_be_sent_is_tried_again(tasks: TasksByMoment) -> None:
    put(tasks, "a", 2 * SECOND)
    assert ids(tasks.take(2 * SECOND, 1)) == ["a"] and tasks.next_moment() is None
    tasks.retry()
    assert ids(tasks.take(2 * SECOND, 1)) == ["a"]
