"""Cron expressions: a check that refuses each one that could surprise, and the moments of
the others, which cronsim computes.

Why: docs/decisions/0142-cronsim-computes-and-we-refuse.md
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple, NoReturn

from cronsim import CronSim, CronSimError

from fluxqueue_core.errors import ConfigurationError

# Characters of an expression. They bound what its check and its search may cost.
MOST_CHARACTERS = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SHORTCUTS = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}
_TERM = re.compile(
    r"(?P<first>\*|[0-9]{1,2}|[A-Z]{3})(?:-(?P<last>[0-9]{1,2}|[A-Z]{3}))?(?:/(?P<step>[0-9]{1,2}))?"
)


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    # Terms that only this field has.
    special: str = "(?!)"

    def value(self, text: str) -> int | None:
        """The number of a value; None if the field has no such value."""
        if text in self.names:
            return self.names.index(text) + (self.least if self.names is _MONTHS else 0)
        if text.isdigit() and self.least <= int(text) <= self.most:
            return int(text)
        return None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31, special="L|LW"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS, special="(?:[0-7]|[A-Z]{3})#[1-5]|[0-7]L"),
)


def check(expression: str) -> str:
    """Returns an expression in its usual form: upper case, one space between fields.

    Raises:
        ConfigurationError: it can't be read, or means something else elsewhere.
    """
    if len(expression) > MOST_CHARACTERS:
        raise ConfigurationError(
            f"the cron expression has {len(expression)} characters; give at most {MOST_CHARACTERS}"
        )
    fields = expression.upper().split()
    if len(fields) == 1 and fields[0] in _SHORTCUTS:
        _refuse(expression, f"{fields[0].lower()} is not read; write {_SHORTCUTS[fields[0]]!r}")
    if len(fields) == 6:
        _refuse(
            expression,
            "it has 6 fields, and programs disagree about where seconds are; give 5 fields (minute,"
            " hour, day of the month, month, day of the week), or every=timedelta(seconds=...)",
        )
    if len(fields) != 5:
        _refuse(
            expression,
            f"it has {len(fields)} fields; give 5: minute, hour, day of the month, month, day of "
            f"the week",
        )
    for text, field in zip(fields, _FIELDS, strict=True):
        for term in text.split(","):
            _check_term(expression, term, field)
    try:
        CronSim(" ".join(fields), EPOCH)
    except CronSimError as error:
        _refuse(expression, f"{error}: no month has that day, or the field can't be read")
    return " ".join(fields)


def _check_term(expression: str, term: str, field: _Field) -> None:
    where = f"the {field.name} {term!r}"
    if re.fullmatch(field.special, term):
        if term[:3].isalpha() and len(term) > 3 and term[:3] not in field.names:
            _refuse(expression, f"{where} has no known name; it takes {', '.join(field.names)}")
        return
    found = _TERM.fullmatch(term)
    if found is None:
        hint = "; write *" if term == "?" else ""
        _refuse(expression, f"{where} can't be read{hint}")
    first, last, step = found["first"], found["last"], found["step"]
    if first == "*" and last is not None:
        _refuse(expression, f"{where} can't be read: a range begins with a value")
    for value in (first, last):
        if value not in (None, "*") and field.value(value) is None:
            known = f", or {', '.join(field.names)}" if field.names else ""
            _refuse(expression, f"{where} is not {field.least} to {field.most}{known}")
    if last is not None:
        begin, end = field.value(first), field.value(last)
        assert begin is not None and end is not None
        if end < begin:
            hint = "; Sunday at the end of a range is 7" if last == "SUN" else ""
            _refuse(expression, f"{where} ends before it begins; write two ranges{hint}")
        if begin == end and step is not None:
            # cronsim reads 5-5/10 as 5/10, which runs until the end of the field.
            _refuse(expression, f"{where} has a step in a range of one value; write {first}")
    if step is not None:
        if first != "*" and last is None:
            _refuse(
                expression,
                f"{where} has a step without a range; write {first}-{field.most}/{step}",
            )
        if not 1 <= int(step) <= field.most - field.least:
            _refuse(expression, f"{where} has a step that is not 1 to {field.most - field.least}")


def _refuse(expression: str, why: str) -> NoReturn:
    raise ConfigurationError(f"the cron expression {expression!r}: {why}")


def zone(name: str) -> tzinfo:
    """Returns a time zone by its name in the tz database.

    Raises:
        ConfigurationError: there is none.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # only needed here

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # the last one: it names a folder
        raise ConfigurationError(
            f"there is no time zone {name!r} on this machine ({error}); give a name such as "
            f"Europe/Berlin, or install the package tzdata"
        ) from None


def after(expression: str, tz: str, ms: int) -> int | None:
    """Returns the first moment of an expression after `ms`, both in ms since 1970; None if
    there is none in 50 years.

    Raises:
        ConfigurationError: the zone or the expression is not known on this machine.
    """
    return _remembered(expression, tz, ms)


def _compute(expression: str, tz: str, ms: int) -> int | None:
    try:
        moment = EPOCH + ms * MS
        found = (
            _after_in_utc(expression, moment)
            if tz == "UTC"
            else _after(expression, zone(tz), moment)
        )
    except (StopIteration, OverflowError):
        return None
    except CronSimError as error:
        raise ConfigurationError(f"the cron expression {expression!r}: {error}") from None
    return (found - EPOCH) // MS


# Many periodic tasks have the same expression and moment.
_remembered = lru_cache(maxsize=1_024)(_compute)


def _after_in_utc(expression: str, moment: datetime) -> datetime:
    return next(CronSim(expression, moment))


def _after(expression: str, local: tzinfo, moment: datetime) -> datetime:
    """Returns the first moment after this one. cronsim gives the local times, as if clocks never
    changed; where they do is decided here.

    Why: docs/decisions/0142-cronsim-computes-and-we-refuse.md
    """
    begin = moment.astimezone(local)
    fields = expression.split()
    is_fixed = not fields[0].startswith("*") and not fields[1].startswith("*")
    times = CronSim(expression, begin.replace(tzinfo=None, fold=0))
    if not is_fixed and not begin.fold:
        before, after_it = _offsets(begin)
        if before > after_it:
            # The first pass of what comes twice: the second one is not behind it in local time.
            found = _in_second_pass(times, begin, moment, before - after_it)
            if found is not None:
                return found
    for time in times:
        first = time.replace(tzinfo=local, fold=0)
        before, after_it = _offsets(first)
        if before >= after_it:
            passes = [first] if before == after_it or is_fixed else [first, first.replace(fold=1)]
            candidates = [each.astimezone(UTC) for each in passes]
        elif is_fixed:
            candidates = [_end_of_gap(first, before, after_it)]
        else:
            candidates = []
        for candidate in candidates:
            if candidate > moment:
                return candidate
    raise StopIteration


def _offsets(time: datetime) -> tuple[timedelta, timedelta]:
    """The offsets of a local time by its first and its second meaning. The first is greater if
    the time comes twice, and less if it does not exist."""
    found = [time.replace(fold=fold).utcoffset() for fold in (0, 1)]
    return found[0] or timedelta(), found[1] or timedelta()


def _in_second_pass(
    times: CronSim, begin: datetime, moment: datetime, length: timedelta
) -> datetime | None:
    """Returns the first match after a moment in the first pass, until both passes are over."""
    candidate = moment.replace(second=0, microsecond=0)
    while candidate < moment + 2 * length:
        candidate += timedelta(minutes=1)
        time = candidate.astimezone(begin.tzinfo)
        if (
            time.minute in times.minutes
            and time.hour in times.hours
            and time.month in times.months
            and times.match_day(time.date())
        ):
            return candidate
    return None


def _end_of_gap(time: datetime, before: timedelta, after_it: timedelta) -> datetime:
    """Returns the first moment after the gap in which a local time is."""
    naive = time.replace(tzinfo=UTC)
    low, high = naive - after_it, naive - before
    while high - low > timedelta(seconds=1):
        middle = low + ((high - low) // 2 // timedelta(seconds=1)) * timedelta(seconds=1)
        if middle.astimezone(time.tzinfo).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
