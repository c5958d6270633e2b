"""Numbers and times as people read them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

# Characters of a value that a page shows, at most.
LONGEST = 20_000
# Stands for an unknown value: a dash.
NOTHING = "\u2013"
_UNITS = ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"))


def count(number: int | float | None) -> str:
    """Returns a number with spaces between thousands: `1 234 567`; `?` if Redis can't count."""
    if number is None:
        return "?"
    return f"{number:,.0f}".replace(",", "\u202f")


def short_count(number: int | float) -> str:
    """Returns a number in a few characters: `950`, `12.3k`, `4M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number < 1_000 * size else f"{number:.1e}"
    return f"{number:.3g}"


def rate(per_second: float | None) -> str:
    """Returns a rate: `12.5/s`, `3/min`."""
    if per_second is None:
        return NOTHING
    if per_second == 0:
        return "0/s"
    if per_second >= 1:
        return f"{per_second:.3g}/s" if per_second < 1_000 else f"{short_count(per_second)}/s"
    return f"{per_second * 60:.2g}/min" if per_second * 60 >= 1 else f"{per_second * 3600:.2g}/h"


def duration(seconds: float | None) -> str:
    """Returns a time span: `350 ms`, `4.2 s`, `5 min`, `3 d`."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        return f"\u2212{duration(-seconds)}"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}\u202f{unit}"
    if seconds >= 10:
        return f"{seconds:.0f}\u202fs"
    return f"{seconds:.1f}\u202fs" if seconds >= 1 else f"{seconds * 1_000:.0f}\u202fms"


def size(number: int) -> str:
    """Returns a number of bytes: `512 B`, `14 KiB`."""
    value = float(number)
    for unit in ("B", "KiB", "MiB"):
        if value < 1_024:
            return f"{value:.3g}\u202f{unit}"
        value /= 1_024
    return f"{value:.3g}\u202fGiB"


def moment(seconds: float | None) -> str:
    """Returns a moment in UTC: `2026-11-30 19:40:36 UTC`."""
    if seconds is None:
        return NOTHING
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return NOTHING


def enqueued_at(task_id: str) -> float | None:
    """Returns when a task was enqueued, in seconds since 1970, as its id says it; None if the id
    is not a UUID of version 7."""
    try:
        value = uuid.UUID(task_id)
    except ValueError:
        return None
    return (value.int >> 80) / 1_000 if value.version == 7 else None


def iso(seconds: float) -> str:
    """Returns a moment for the attribute `datetime` of HTML."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def pretty(value: Any) -> str:
    """Returns JSON for people, cut if it is long."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return shortened(text)


def shortened(text: str, most: int = LONGEST) -> str:
    """Returns a text of `most` characters at most, which says that it was cut."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"
