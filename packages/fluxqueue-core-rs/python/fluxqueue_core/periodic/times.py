"""The moments of a periodic task: by a cron expression in a time zone, or by an interval."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from . import cron

# How far back a search for the last moments begins, in ms: an hour, a day, a month, a year.
# Each step has few moments, if the step before had fewer than were asked for.
SPANS = (3_600_000, 86_400_000, 32 * 86_400_000, 400 * 86_400_000)
# The first and the last moment that a datetime can be, in ms since 1970.
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999


def is_moment(ms: float) -> bool:
    """Whether a number of ms since 1970 is one that a datetime can be."""
    return FIRST <= ms <= LAST


@dataclass(frozen=True, slots=True)
class Times:
    """When a periodic task runs. All times are in ms since 1970.

    Attributes:
        cron: an expression that `cron.check` returned, or None.
        tz: the name of its time zone.
        every: the interval in ms, or None. Its moments are multiples of it since `start`, or
            since 1970.
        start: the first moment is this one or later; None without a limit.
        end: the last moment is this one or earlier; None without a limit.
    """

    cron: str | None = None
    tz: str = "UTC"
    every: int | None = None
    start: int | None = None
    end: int | None = None

    def after(self, ms: int) -> int | None:
        """Returns the first moment after `ms`; None if there is none.

        Raises:
            ConfigurationError: this machine does not know the time zone.
        """
        if self.start is not None:
            ms = max(ms, self.start - 1)
        if self.every is not None:
            begin = self.start or 0
            found: int | None = begin + ((ms - begin) // self.every + 1) * self.every
        else:
            assert self.cron is not None
            found = cron.after(self.cron, self.tz, ms)
        if found is None or (self.end is not None and found > self.end):
            return None
        return found

    def last(self, due: int, now: int, most: int) -> list[int]:
        """Returns the last `most` moments from `due`, which is one, to `now`, oldest first.

        It takes some 1,500 steps at most, however long ago `due` is.
        """
        if self.every is not None:
            latest = now if self.end is None else min(now, self.end)
            newest = due + (latest - due) // self.every * self.every
            count = min((newest - due) // self.every + 1, most)
            return [newest - back * self.every for back in range(count - 1, -1, -1)]
        for span in (*SPANS, now - due):
            begin = max(due - 1, now - span)
            found: deque[int] = deque(maxlen=most)
            moment = self.after(begin)
            while moment is not None and moment <= now:
                found.append(moment)
                moment = self.after(moment)
            if len(found) == most or begin == due - 1:
                return list(found)
        return list(found)
