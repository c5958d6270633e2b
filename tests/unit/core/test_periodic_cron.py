"""Cron expressions: what is refused, and the moments of the others, even if clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.periodic import cron
from hypothesis import given
from hypothesis import strategies as st
from support import daylight_saving
from support.daylight_saving import DAY, ZONES, Change, changes, daily, runs

PAGE = (Path(__file__).parents[3] / "docs/periodic.md").read_text()
ALL_CHANGES = [change for zone in ZONES for change in changes(zone)]


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


def utc(expression: str, *, after: str = "2026-01-01T00:00:00", count: int = 3) -> list[str]:
    """The next moments in UTC."""
    moment: int | None = ms(datetime.fromisoformat(f"{after}+00:00"))
    found = []
    for _ in range(count):
        assert moment is not None
        moment = cron.after(cron.check(expression), "UTC", moment)
        assert moment is not None
        found.append(f"{datetime.fromtimestamp(moment / 1_000, UTC):%a %d %b %H:%M}")
    return found


def test_the_table_of_changes_is_what_happens() -> None:
    assert daylight_saving.table() in PAGE


@pytest.mark.parametrize("change", ALL_CHANGES, ids=lambda c: f"{c.zone} {c.at:%m}")
def test_a_daily_run_comes_once_on_the_day_of_a_change(change: Change) -> None:
    found = runs(daily(change), change, DAY)
    assert len(found) == 1
    # In a gap it comes at its end, in a fold at the first of the two times.
    wanted = change.at if change.is_gap else change.at + (change.middle - change.before)
    assert found[0].astimezone(UTC) == wanted


@pytest.mark.parametrize("expression", ["0,30 2 * * *", "15-45/15 2 * * *", "0 2-3 * * *"])
def test_fixed_times_in_a_gap_become_one_run(expression: str) -> None:
    [gap] = [change for change in changes("Europe/Berlin") if change.is_gap]
    assert [f"{run:%d %H:%M}" for run in runs(expression, gap, timedelta(hours=3))] == ["29 03:00"]


def matching(change: Change, minutes: set[int], hours: set[int]) -> list[datetime]:
    """The moments whose local time matches, found by looking at each minute."""
    found = []
    moment = change.at - DAY
    while moment <= change.at + DAY:
        local = moment.astimezone(ZoneInfo(change.zone))
        if local.minute in minutes and local.hour in hours:
            found.append(local)
        moment += timedelta(minutes=1)
    return found


@pytest.mark.parametrize("change", ALL_CHANGES, ids=lambda c: f"{c.zone} {c.at:%m}")
def test_an_expression_with_a_star_runs_by_elapsed_time(change: Change) -> None:
    for expression, minutes, hours in [
        ("*/15 * * * *", set(range(0, 60, 15)), set(range(24))),
        ("20 * * * *", {20}, set(range(24))),
        ("0 */2 * * *", {0}, set(range(0, 24, 2))),
        (f"*/30 {change.middle.hour} * * *", {0, 30}, {change.middle.hour}),
    ]:
        assert runs(expression, change, DAY) == matching(change, minutes, hours), expression


@pytest.mark.parametrize("change", ALL_CHANGES, ids=lambda c: f"{c.zone} {c.at:%m}")
def test_the_next_moment_does_not_depend_on_the_one_before(change: Change) -> None:
    for expression in (daily(change), "*/15 * * * *", "7 */3 * * *", "10,50 0-4 * * *"):
        moments = [ms(run) for run in runs(expression, change, 3 * DAY)]
        for minute in range(-180, 180):
            begin = ms(change.at + timedelta(minutes=minute))
            following = min(moment for moment in moments if moment > begin)
            assert cron.after(expression, change.zone, begin) == following, (expression, minute)


def test_days_of_month_and_week_are_either_unless_one_begins_with_a_star() -> None:
    assert utc("0 0 13 * FRI", count=4) == [
        "Fri 02 Jan 00:00",
        "Fri 09 Jan 00:00",
        "Tue 13 Jan 00:00",
        "Fri 16 Jan 00:00",
    ]
    # A star with a step is a star: both must match.
    assert utc("0 0 */2 * MON", count=2) == ["Mon 05 Jan 00:00", "Mon 19 Jan 00:00"]
    assert utc("0 0 1 * */2", count=2) == ["Thu 01 Jan 00:00", "Sun 01 Feb 00:00"][1:] + [
        "Sun 01 Mar 00:00"
    ]


def test_sunday_is_0_and_7_and_has_a_name() -> None:
    assert utc("0 0 * * 0") == utc("0 0 * * 7") == utc("0 0 * * sun")
    assert utc("0 0 * * FRI-7", count=3) == [
        "Fri 02 Jan 00:00",
        "Sat 03 Jan 00:00",
        "Sun 04 Jan 00:00",
    ]


def test_the_last_days_and_the_nth_weekday_of_a_month() -> None:
    assert utc("0 0 L * *", count=2) == ["Sat 31 Jan 00:00", "Sat 28 Feb 00:00"]
    assert utc("0 0 LW * *", count=2) == ["Fri 30 Jan 00:00", "Fri 27 Feb 00:00"]
    assert utc("0 0 * * 5L", count=2) == ["Fri 30 Jan 00:00", "Fri 27 Feb 00:00"]
    assert utc("0 0 * * MON#2", count=2) == ["Mon 12 Jan 00:00", "Mon 09 Feb 00:00"]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "it has 0 fields; give 5"),
        ("* * * *", "it has 4 fields"),
        ("0 0 * * * *", "6 fields, and programs disagree about where seconds are"),
        ("@daily", "write '0 0 * * *'"),
        ("60 * * * *", "the minute '60' is not 0 to 59"),
        ("* 24 * * *", "the hour '24' is not 0 to 23"),
        ("* * 0 * *", "the day of the month '0' is not 1 to 31"),
        ("* * * 13 *", "the month '13' is not 1 to 12, or JAN"),
        ("* * * * 8", "the day of the week '8' is not 0 to 7, or SUN"),
        ("* * * * MOO", "is not 0 to 7, or SUN"),
        ("* * * * MOO#1", "has no known name"),
        ("* * * * 1#6", "can't be read"),
        ("5/10 * * * *", "write 5-59/10"),
        ("5-5/10 * * * *", "the minute '5-5/10' has a step in a range of one value; write 5"),
        ("0 0 * * TUE-2/3", "write TUE"),
        ("*/60 * * * *", "step that is not 1 to 59"),
        ("*/0 * * * *", "step that is not 1 to 59"),
        ("30-10 * * * *", "ends before it begins"),
        ("* * * * FRI-SUN", "Sunday at the end of a range is 7"),
        ("? * * * *", "write *"),
        ("*-5 * * * *", "a range begins with a value"),
        ("1,,2 * * * *", "the minute '' can't be read"),
        ("-1 * * * *", "the minute '-1' can't be read"),
        ("\u0663 * * * *", "can't be read"),
        ("* * L-3 * *", "can't be read"),
        ("* * 15W * *", "can't be read"),
        ("H * * * *", "can't be read"),
        ("0 0 30 2 *", "no month has that day"),
        ("* " * 200, "give at most 256"),
    ],
)
def test_an_expression_that_can_not_be_read_is_refused(expression: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        cron.check(expression)
    assert text in str(refused.value)


@given(st.text(alphabet="0123456789*/-,#LWSUNMOJAEB ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = cron.check(text)
    except ConfigurationError:
        return
    assert cron.check(expression) == expression
    begin = 1_764_430_000_000
    found = cron.after(expression, "Europe/Berlin", begin)
    assert found is None or found > begin


def test_a_zone_that_is_not_there_is_refused() -> None:
    for name in ("Europe/Nowhere", "", "../etc/passwd", "Europe", "a\0b"):
        with pytest.raises(ConfigurationError, match="no time zone"):
            cron.zone(name)


def test_months_and_days_have_names_in_lists_and_ranges() -> None:
    assert utc("0 0 1 JAN,jul *", count=3) == [
        "Wed 01 Jul 00:00",
        "Fri 01 Jan 00:00",
        "Thu 01 Jul 00:00",
    ]
    assert utc("0 0 1 nov-DEC *") == utc("0 0 1 11-12 *")
    assert utc("0 0 * * mon-WED,Sat", count=4) == utc("0 0 * * 1-3,6", count=4)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_search_ends_after_fifty_years(zone: str) -> None:
    # Days 1 and 29 are never the second Friday of a month. Both must match because of the star.
    never = cron.check("0 0 */28 * FRI#2")
    begin = 1_764_430_000_000
    assert cron.after(never, zone, begin) is None
    # One that has a moment in a while is found: the 29th of February is a Sunday in 2032.
    found = cron.after(cron.check("0 0 */28 2 SUN"), zone, ms(datetime(2026, 2, 2, tzinfo=UTC)))
    assert found is not None and datetime.fromtimestamp(found / 1_000, UTC).year == 2032
