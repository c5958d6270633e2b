"""Rates: how people write them, and the interval and the burst by which Redis keeps them.

Why: docs/decisions/0156-a-fast-rate-has-a-burst-that-keeps-it.md
"""

from __future__ import annotations

import re

from .errors import ConfigurationError

# A rate of one in a year.
LONGEST_PERIOD = 365 * 86_400_000_000
# A scheduler looks this often for limits whose time has come (microseconds).
LOOK = 50_000
# Of the numbers that may belong to a period of a few microseconds.
MOST_TRIED = 50
# Microseconds.
_UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,15})([smhd])", re.ASCII)


def read_rate(text: str, burst: int | None = None) -> tuple[int, int]:
    """Returns the microseconds between two begins, in the long run, and how many may begin at once.

    In any span of the time that the rate names, no more than its number begin; with a burst that
    is given, up to one less than the burst in addition. Without one the begins are even, unless
    they would be closer than a scheduler looks: then those of one look may begin at once, and the
    interval is longer by as much as that takes.

    Raises:
        ConfigurationError: the text is not a rate, or is out of range.
    """
    count, span = _parse(text)
    # Rounded up: a rate is never exceeded.
    even = -(-span // count)
    if burst is not None or even >= LOOK:
        return even, burst or 1
    # From `burst` begins to the last of `count` ones at least `span` passes.
    burst = 1 + -(-LOOK // even)
    return -(-span // (count - burst + 1)), burst


def shown_rate(period: int, burst: int) -> tuple[str, int | None]:
    """Returns a rate and a burst for which `read_rate` returns these numbers. The burst is None if
    the rate has it anyway, although it is more than 1."""
    for unit, span in _UNITS.items():
        # The numbers in this time for which the period, rounded up, is this one.
        first, last = -(-span // period), (span - 1) // (period - 1) if period > 1 else span
        counts = range(first, min(last, first + MOST_TRIED) + 1)
        for more, given in ((burst - 1, None), (0, burst)):
            for count in counts:
                text = f"{count + more}/{unit}"
                if count + more <= span and read_rate(text, given) == (period, burst):
                    return text, 1 if burst == 1 else given
    for unit, span in reversed(_UNITS.items()):
        if period % span == 0:
            return f"1/{period // span}{unit}", burst
    return f"1000000/{period}s", burst


def _parse(text: str) -> tuple[int, int]:
    """Returns how many in how many microseconds."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"the rate is {text[:100]!r}; give a number, a slash and s, m, h or d, such as '25/s', "
            f"'100/m' or '10/30s'"
        )
    count, span = int(found[1]), int(found[2] or 1) * _UNITS[found[3]]
    if count == 0:
        raise ConfigurationError(
            f"the rate is {text!r}, at which nothing would ever begin; give 1 or more"
        )
    if span == 0:
        raise ConfigurationError(f"the rate is {text!r}, for no time; give 1 or more, as in '5/1s'")
    if not count <= span <= count * LONGEST_PERIOD:
        raise ConfigurationError(
            f"the rate is {text!r}; give at most 1000000 in a second and at least 1 in 365 days"
        )
    return count, span
