"""The table of docs/periodic.md: what periodic tasks do when clocks change.

`PYTHONPATH=tests .venv/bin/python -m support.daylight_saving` prints it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fluxqueue_core.periodic import cron

# Zones with a change of half an hour, of two hours, at midnight, and at a quarter to three.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "Pacific/Chatham",
    "Antarctica/Troll",
)
YEAR = 2026
STEP = timedelta(minutes=15)
# How much of the time around a change the cells show.
DAY, HOURS, QUARTERS = timedelta(hours=12), timedelta(minutes=90), timedelta(minutes=30)


class Change(NamedTuple):
    """A change of the offset of a zone.

    Attributes:
        at: the first moment with the new offset.
        before, after: the local time at this moment by the old offset, and by the new one.
    """

    zone: str
    at: datetime
    before: datetime
    after: datetime

    @property
    def is_gap(self) -> bool:
        """Whether the clock is put forward."""
        return self.after > self.before

    @property
    def middle(self) -> datetime:
        """A local time that does not exist, or comes twice."""
        return min(self.before, self.after) + abs(self.after - self.before) / 2


def changes(zone: str) -> list[Change]:
    """The changes of a zone in the year of the table."""
    found = []
    local = ZoneInfo(zone)
    moment = datetime(YEAR, 1, 1, tzinfo=UTC)
    while moment.year == YEAR:
        later = moment + STEP
        old, new = (m.astimezone(local).utcoffset() for m in (moment, later))
        assert old is not None and new is not None
        if old != new:
            naive = later.replace(tzinfo=None)
            found.append(Change(zone, later, naive + old, naive + new))
        moment = later
    return found


def runs(expression: str, change: Change, around: timedelta) -> list[datetime]:
    """The runs of an expression around a change, in the zone."""
    moment: int | None = round((change.at - around).timestamp() * 1_000) - 1
    found = []
    while moment is not None:
        moment = cron.after(expression, change.zone, moment)
        if moment is None or moment > round((change.at + around).timestamp() * 1_000):
            break
        found.append(datetime.fromtimestamp(moment / 1_000, ZoneInfo(change.zone)))
    return found


def daily(change: Change) -> str:
    """The expression of a daily run in the gap or the fold."""
    return f"{change.middle.minute} {change.middle.hour} * * *"


def row(change: Change) -> str:
    """The row of a change."""
    cells = [change.zone, f"{change.at:%d %b}: {change.before:%H:%M} → {change.after:%H:%M}"]
    for expression, around in (
        (daily(change), DAY),
        ("0 * * * *", HOURS),
        ("*/15 * * * *", QUARTERS),
    ):
        shown, offset = [], None
        for run in runs(expression, change, around):
            text = f"{run:%H:%M}"
            if run.utcoffset() != offset:
                offset = run.utcoffset()
                text += f"{run:%z}"
            shown.append(text)
        prefix = f"`{expression}`: " if around == DAY else ""
        cells.append(prefix + ", ".join(shown))
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """The rows of the table."""
    return "\n".join(row(change) for zone in ZONES for change in changes(zone))


if __name__ == "__main__":
    print(table())
