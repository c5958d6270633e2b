"""The checks of numbers that options of a task have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeGuard

from .errors import ConfigurationError

# The largest number that a message can carry: unsigned, with 32 bits.
MOST_RETRIES = 2**32 - 1
# The highest priority; 0 is the lowest.
HIGHEST_PRIORITY = 9
# A message counts its snoozes up to this number.
MOST_SNOOZES = 99_999
# A year, in seconds.
LONGEST_TIMEOUT = 365 * 86_400
# The longest delay that the core accepts, in seconds: a year.
LONGEST_DELAY = 365 * 86_400.0

# Takes the option's name and value, and raises TypeError or ConfigurationError.
Check = Callable[[str, Any], None]


def check_count(most: int, zero: str) -> Check:
    """Returns a check for whole numbers from 0 to `most`.

    Args:
        zero: the meaning of 0, for the message.
    """

    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int, not {kind_of(value)}")
        if not 0 <= value <= most:
            raise ConfigurationError(f"{name} is {shown_number(value)}; give 0 ({zero}) to {most}")

    return check


check_retries = check_count(MOST_RETRIES, "no retry")
check_priority = check_count(HIGHEST_PRIORITY, "the lowest")
check_snoozes = check_count(MOST_SNOOZES, "no snooze")


def check_amount(meaning: str) -> Check:
    """Returns a check for a number from 1 on, or None: `meaning`."""

    def check(name: str, value: Any) -> None:
        if value is None:
            return
        from fluxqueue_core.limits import MOST_AT_ONCE

        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int or None, not {kind_of(value)}")
        if not 1 <= value <= MOST_AT_ONCE:
            raise ConfigurationError(
                f"{name} is {shown_number(value)}; give 1 to {MOST_AT_ONCE}, or None for {meaning}"
            )

    return check


check_concurrency = check_amount("any number at once")
check_burst = check_amount("one at a time")


def check_rate(name: str, value: Any) -> None:
    """Refuses what is not a rate."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str such as '100/m' or None, not {kind_of(value)}")
    from fluxqueue_core.rates import read_rate  # most tasks have no rate

    read_rate(value)


def check_number(least: float) -> Check:
    """Returns a check for finite numbers from `least` on."""

    def check(name: str, value: Any) -> None:
        if not is_number(value):
            raise TypeError(f"{name} must be a number, not {kind_of(value)}")
        # This is false for a NaN and for infinity. An int may be above every float.
        if not least <= value <= sys.float_info.max:
            raise ConfigurationError(
                f"{name} is {shown_number(value)}; give a finite number, {least} or more"
            )

    return check


def check_seconds(none: str | None, takes: str = "a number of seconds") -> Check:
    """Returns a check for seconds above 0, at most a year.

    Args:
        none: the meaning of the value None, for the message. None: that is an error.
        takes: what else the option takes, for the message.
    """
    or_none, for_none = ("", "") if none is None else (" or None", f", or None for {none}")

    def check(name: str, value: Any) -> None:
        if value is None and none is not None:
            return
        if not is_number(value):
            raise TypeError(f"{name} must be {takes}{or_none}, not {kind_of(value)}")
        # This is false for a NaN too.
        if not 0 < value <= LONGEST_TIMEOUT:
            raise ConfigurationError(
                f"{name} is {shown_number(value)}; give seconds above 0, at most "
                f"{LONGEST_TIMEOUT} (a year){for_none}"
            )

    return check


check_timeout = check_seconds("no timeout")


def check_delay(name: str, value: Any) -> None:
    """Checks the seconds until a retry."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number of seconds, not {kind_of(value)}")
    # This is false for a NaN too.
    if not 0 <= value <= LONGEST_DELAY:
        raise ConfigurationError(
            f"{name} is {shown_number(value)}; give seconds from 0 to {LONGEST_DELAY:.0f} (a year)"
        )


def check_bool(name: str, value: Any) -> None:
    """Checks a switch."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {kind_of(value)}")


def kind_of(value: object) -> str:
    """Returns the name of the value's class, for a message."""
    return type(value).__name__


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown_number(number: float) -> str:
    """Returns a number as text, for a message."""
    try:
        return str(number)
    except Exception:  # noqa: BLE001  # an int of more digits than Python prints; a subclass
        return "too large to print" if type(number) is int else "not printable"
