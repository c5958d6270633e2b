"""How often and when a failed task runs again, and how long an attempt may take."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .errors import ConfigurationError

# What a message can carry (an unsigned 32-bit number).
MOST_RETRIES = 2**32 - 1
# Seconds: a year.
LONGEST_TIMEOUT = 365 * 86_400


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry number n waits `delay * backoff ** (n - 1)` seconds, at most `max_delay`.

    The worker adds jitter. `max_retries=0` means one attempt.

    Raises:
        TypeError: a value is not a number.
        ConfigurationError: a number is out of its range.
    """

    max_retries: int
    delay: float
    backoff: float
    max_delay: float

    def __post_init__(self) -> None:
        retries = self.max_retries
        if not isinstance(retries, int) or isinstance(retries, bool):
            raise TypeError(f"max_retries must be an int, not {_kind(retries)}")
        if not 0 <= retries <= MOST_RETRIES:
            raise ConfigurationError(
                f"max_retries is {retries}; give 0 (no retry) to {MOST_RETRIES}"
            )
        _check_number("retry_delay", self.delay, 0)
        _check_number("retry_backoff", self.backoff, 1)
        _check_number("retry_max_delay", self.max_delay, 0)
        if self.delay > self.max_delay:
            raise ConfigurationError(
                f"retry_delay is {self.delay} s, above retry_max_delay ({self.max_delay} s); "
                f"lower the one or raise the other"
            )


def check_timeout(timeout: object) -> None:
    """Checks the seconds that an attempt may take.

    Raises:
        TypeError: it is neither a number nor None.
        ConfigurationError: it is not above 0 and at most a year.
    """
    if timeout is None:
        return
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise TypeError(f"timeout must be a number of seconds or None, not {_kind(timeout)}")
    # False for a NaN as well.
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise ConfigurationError(
            f"timeout is {timeout}; give seconds above 0, at most {LONGEST_TIMEOUT} (a year), "
            f"or None for no timeout"
        )


def _kind(value: object) -> str:
    return type(value).__name__


def _check_number(name: str, value: object, least: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {_kind(value)}")
    # False for a NaN and for infinity; an int may be above every float.
    if not least <= value <= sys.float_info.max:
        raise ConfigurationError(f"{name} is {value}; give a finite number, {least} or more")
