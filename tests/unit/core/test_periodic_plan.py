"""Which runs begin when a moment has come, or has passed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fluxqueue_core.periodic import plan
from fluxqueue_core.periodic.record import Rules, make, run_id, template_id
from fluxqueue_core.periodic.times import Times
from hypothesis import given
from hypothesis import strategies as st

MINUTE = 60_000
DUE = 1_764_430_020_000  # a whole minute


def rules(**more: Any) -> Rules:
    return Rules("work", Times(every=MINUTE), **{"expires": None, **more})


def test_the_first_moment_is_the_one_after_the_call() -> None:
    assert plan.first(rules(), DUE + 0.5) == (DUE + MINUTE, "", "")
    ended = Rules("work", Times(every=MINUTE, end=DUE), expires=None)
    assert plan.first(ended, DUE + 0.5) == ("", "", "")


def test_a_moment_that_is_not_late_begins_its_run() -> None:
    assert plan.on_time_until(rules(), DUE, DUE + MINUTE) == DUE + 59_999
    assert plan.on_time_until(rules(), DUE, None) == float("inf")
    assert plan.single("a", rules(), DUE, DUE + MINUTE) == (DUE + MINUTE, "", f"r{DUE}+0")


@pytest.mark.parametrize(
    ("catch_up", "late", "events"),
    [
        (1, 10 * MINUTE, [f"m{DUE}", f"r{DUE + 10 * MINUTE}+0"]),
        (3, 10 * MINUTE, [f"m{DUE}", *(f"r{DUE + n * MINUTE}+0" for n in (8, 9, 10))]),
        (100, 2 * MINUTE, [f"r{DUE + n * MINUTE}+0" for n in range(3)]),
        (0, 10 * MINUTE + 30_000, [f"m{DUE}", f"r{DUE + 10 * MINUTE}+0"]),
    ],
)
def test_a_late_moment_begins_as_many_runs_as_are_caught_up(
    catch_up: int, late: int, events: list[str]
) -> None:
    found = plan.late("a", rules(catch_up=catch_up), DUE, DUE + late)
    assert found.events.split() == events
    assert found.next == DUE + late // MINUTE * MINUTE + MINUTE


def test_a_run_that_is_more_than_a_minute_late_is_missed_if_none_is_caught_up() -> None:
    daily = Rules("work", Times(every=1_440 * MINUTE), catch_up=0, expires=None)
    due = DUE // (1_440 * MINUTE) * 1_440 * MINUTE
    assert plan.on_time_until(daily, due, due + 1_440 * MINUTE) == due + MINUTE
    assert plan.on_time_until(daily, due, due + 7) == due + 6
    found = plan.late("a", daily, due, due + MINUTE + 1)
    assert found == (due + 1_440 * MINUTE, "", f"m{due}")


def test_the_limit_is_the_next_moment_or_an_interval_from_the_moment_on() -> None:
    assert plan.limit(rules(expires="next"), DUE, DUE + 5) == DUE + 5
    assert plan.limit(rules(expires="next", jitter=100), DUE, DUE + 5) == DUE + 105
    assert plan.limit(rules(expires="next"), DUE, None) == plan.FAR
    assert plan.limit(rules(expires=7), DUE, None) == DUE + 7
    assert plan.limit(rules(), DUE, DUE + 5) == ""
    # A late run has until the moment that is still to come.
    found = plan.late("a", rules(expires="next"), DUE, DUE + 10 * MINUTE)
    assert found.limit == found.next == DUE + 11 * MINUTE


@given(st.text(max_size=10), st.integers(0, 2**41), st.integers(0, 86_400_000))
def test_a_delay_is_the_same_for_each_scheduler_and_within_the_jitter(
    entry: str, moment: int, jitter: int
) -> None:
    found = plan.delay(entry, moment, jitter)
    assert 0 <= found <= jitter
    assert plan.delay(entry, moment, jitter) == found


def test_delays_differ() -> None:
    assert len({plan.delay("a", DUE + n, 10_000) for n in range(100)}) > 90


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("days", [0, 1, 20, 300, 2_000])
def test_the_last_moments_of_an_expression_are_found_from_its_end(days: int, most: int) -> None:
    times = Times(cron="0 9 * * *", tz="Europe/Berlin")
    due = times.after(DUE)
    assert due is not None
    now = due + days * 86_400_000 + 7
    found = times.last(due, now, most)
    assert len(found) == min(days + 1, most) or abs(len(found) - days) <= 1
    assert found == sorted(found) and due <= found[0] and found[-1] <= now
    following = times.after(found[-1])
    assert following is not None and following > now


def test_the_id_of_a_run_is_a_uuid_with_the_time_of_its_moment() -> None:
    template = template_id("shop", "q", "a")
    task_id = run_id(template, DUE)
    assert task_id[14] == "7" and task_id[19] == "8" and len(task_id) == 36
    assert int(task_id[:8] + task_id[9:13], 16) == DUE
    assert (
        len({template_id(*names) for names in [("", "q", "a"), ("", "q", "b"), ("s", "q", "a")]})
        == 3
    )


def test_a_record_is_read_as_it_was_made() -> None:
    from fluxqueue_core.periodic.record import Record

    start = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000)
    for made in (
        rules(),
        rules(catch_up=7, jitter=5, expires=9),
        rules(overlap="skip"),
        Rules("work", Times(cron="* * * * *", tz="Asia/Tokyo", start=start, end=start + 1)),
    ):
        found = Record.parse(make(made, b"{}", declared=True))
        assert (found.rules, found.declared, found.paused) == (made, True, False)


@pytest.mark.parametrize(
    "rules",
    [
        "null",
        '"text"',
        "[]",
        "{}",
        '{"task":"work"}',
        '{"task":"work","every":0}',
        '{"task":"work","every":-1}',
        '{"task":"work","every":true}',
        '{"task":"work","every":1000.5}',
        '{"task":"work","every":"1"}',
        '{"task":["work"],"every":1000}',
        '{"task":"work","every":1000,"cron":"* * * * *"}',
        '{"task":"work","cron":5}',
        '{"task":"work","cron":"* * * * *","tz":7}',
        '{"task":"work","every":1000,"catch_up":1000000000}',
        '{"task":"work","every":1000,"catch_up":null}',
        '{"task":"work","every":1000,"jitter":"5"}',
        '{"task":"work","every":1000,"expires":"later"}',
        '{"task":"work","every":1000,"start":"2026"}',
        '{"task":"work","every":1000,"end":1e300}',
        '{"task":"work","every":1000,"overlap":1}',
    ],
)
def test_a_record_that_no_release_writes_is_refused(rules: str) -> None:
    from fluxqueue_core.periodic.record import HEAD, Record

    head = make(Rules("work", Times(every=MINUTE)), b"{}", declared=True)[:HEAD]
    with pytest.raises((ValueError, TypeError)):
        Record.parse(head + rules.encode())
