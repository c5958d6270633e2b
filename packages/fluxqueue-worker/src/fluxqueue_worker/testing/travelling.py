"""The time by which a test travels."""

from __future__ import annotations

import math


def seconds_ahead(seconds: float) -> float:
    """Returns the seconds by which a test travels.

    Raises:
        ValueError: the time would go back, or has no end.
        TypeError: it is not a number.
    """
    if not isinstance(seconds, int | float):
        raise TypeError(f"travel({seconds!r}): give a number of seconds")
    if seconds < 0:
        raise ValueError(f"time can't go back by {-seconds:g} s; travel by 0 s or more")
    if not math.isfinite(seconds):
        raise ValueError(f"time can't go on by {seconds:g} s; travel by a finite time")
    return seconds
