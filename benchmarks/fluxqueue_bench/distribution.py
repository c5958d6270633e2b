"""The whole distribution of a latency, as a few of its percentiles."""

from __future__ import annotations

import math

# Percentiles that a result keeps; 0 is the least.
LEVELS = (0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9, 99.99)
# Tables have these; the others are for the plots.
_IN_TABLES = (50, 99)
_MAX = "max ms"
# The percentile of the longest.
LONGEST = 100.0


def percentiles(delays: list[float]) -> dict[str, float]:
    """By their names in a result, of delays in ms, ascending, to a tenth of a µs.

    Each is the delay that this percentage of the delays does not exceed. With too few
    delays it would be the longest of all; then it is left out, except "p50 ms" and
    "p99 ms".

    Raises:
        ValueError: there are no delays.
    """
    if not delays:
        raise ValueError("no task has left a record with the time of its sending")
    found = {}
    for level in LEVELS:
        # Rounded first: 99.9 % of 1,000 is not quite 999 in binary.
        place = max(1, math.ceil(round(len(delays) * level / 100, 6)))
        if place < len(delays) or level in _IN_TABLES:
            found[_name(level)] = round(delays[place - 1], 4)
    return {**found, _MAX: round(delays[-1], 4)}


def _name(level: float) -> str:
    return f"p{level:g} ms"


def only_plotted(what: str) -> bool:
    """Whether a value with this name is for the plots only."""
    return what in {_name(level) for level in LEVELS if level not in _IN_TABLES}


def curve(values: dict[str, float]) -> list[tuple[float, float]]:
    """(percentile, ms) of what a result has, ascending; the longest is 100.

    A result of before all were kept has only p50, p99 and the longest.
    """
    found = [(float(level), values[_name(level)]) for level in LEVELS if _name(level) in values]
    return [*found, (LONGEST, values[_MAX])] if _MAX in values else found


def height(level: float, finest: float) -> float:
    """Where a percentile stands on the axis: one step from 0 to 90, one from 90 to
    99, one from 99 to 99.9; the longest half a step above `finest`, the highest of
    its curve."""
    if level == LONGEST:
        return height(finest, finest) + 0.5
    return -math.log10(1 - level / 100)
