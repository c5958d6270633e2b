"""The rules of limits, and how Redis and messages name limits and their keys."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._core import Route
from .errors import ConfigurationError

# A rate of one in a year; the most that may run or begin at once.
LONGEST_PERIOD = 365 * 86_400_000_000
MOST_AT_ONCE = 999_999
# The text beside a key has at most this many characters.
MOST_KEY_CHARACTERS = 200
# Microseconds.
_UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,15})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The numbers that a limit allows for each of its keys.

    Attributes:
        most: how many tasks may run at once; 0: any number.
        period: microseconds from one begin to the next, in the long run; 0: at any rate.
        burst: how many may begin at once after a quiet time.
    """

    most: int = 0
    period: int = 0
    burst: int = 1

    @property
    def rate(self) -> str | None:
        """The rate as `read_rate` reads it; None: any rate."""
        return shown_rate(self.period) if self.period else None

    def record(self, name: str) -> bytes:
        """Returns what Redis keeps of them for the limit of this name."""
        return f"{self.most}:{self.period}:{self.burst} {name}".encode()

    def __str__(self) -> str:
        words = [f"{self.most} at once"] if self.most else []
        if self.period:
            words.append(f"{self.rate}" + (f" in bursts of {self.burst}" if self.burst > 1 else ""))
        return ", ".join(words) or "no limit"


def read_rate(text: str) -> int:
    """Returns the microseconds between two begins, rounded up: a rate is never exceeded.

    Raises:
        ConfigurationError: the text is not a rate, or is out of range.
    """
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
    return -(-span // count)


def shown_rate(period: int) -> str:
    """Returns a rate for which `read_rate` returns this period."""
    for unit, span in _UNITS.items():
        # The next number, because the period may be rounded up.
        for count in (span // period, span // period + 1):
            if count and -(-span // count) == period:
                return f"{count}/{unit}"
    for unit, span in reversed(_UNITS.items()):
        if period % span == 0:
            return f"1/{period // span}{unit}"
    return f"1000000/{period}s"


def check_limit_name(name: str) -> None:
    """Refuses a name that no limit can have. A task's own limit has the name of the task.

    Raises:
        ConfigurationError: it is empty, too long, or has a character that breaks a line.
    """
    try:
        Route("default", name)
    except ConfigurationError as error:
        text = str(error).replace("task name", "name of a limit", 1)
        raise ConfigurationError(text) from None


def limit_digest(name: str) -> str:
    """Returns the 16 hexadecimal digits by which Redis and messages name a limit."""
    return _digest(name.encode())


def key_digest(name: str, key: bytes) -> str:
    """Returns the 32 hexadecimal digits of one key of a limit: those of the name come first.

    Args:
        key: JSON; empty if all tasks of the limit share one key.
    """
    return limit_digest(name) + _digest(name.encode() + b"\0" + key)


def key_text(name: str, key: str) -> str:
    """Returns the text about a key for people, shortened. A name has no space."""
    return f"{name} {key[:MOST_KEY_CHARACTERS]}" if key else name


def _digest(text: bytes) -> str:
    import hashlib  # only for limited tasks

    return hashlib.sha256(text).hexdigest()[:16]
