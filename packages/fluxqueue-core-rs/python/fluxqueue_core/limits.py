"""The rules of limits, and how Redis and messages name limits and their keys."""

from __future__ import annotations

from dataclasses import dataclass

from ._core import Route
from .errors import ConfigurationError
from .rates import LONGEST_PERIOD, shown_rate

# The most that may run or begin at once.
MOST_AT_ONCE = 999_999
# The text beside a key has at most this many characters.
MOST_KEY_CHARACTERS = 200


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
        return shown_rate(self.period, self.burst)[0] if self.period else None

    @property
    def given_burst(self) -> int | None:
        """The burst with which `read_rate` reads the rate; None if a fast rate has it anyway."""
        return shown_rate(self.period, self.burst)[1] if self.period else self.burst

    def check(self) -> None:
        """Refuses numbers that no limit has. Scripts would ignore them, or begin nothing.

        Raises:
            TypeError: one is not an int.
            ConfigurationError: one is out of range.
        """
        ranges = {
            "most": (self.most, 0, MOST_AT_ONCE),
            "period": (self.period, 0, LONGEST_PERIOD),
            "burst": (self.burst, 1, MOST_AT_ONCE),
        }
        for name, (value, least, most) in ranges.items():
            if type(value) is not int:
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            if not least <= value <= most:
                raise ConfigurationError(f"{name} is {value}; give {least} to {most}")

    def record(self, name: str) -> bytes:
        """Returns what Redis keeps of them for the limit of this name."""
        return f"{self.most}:{self.period}:{self.burst} {name}".encode()

    def __str__(self) -> str:
        words = [f"{self.most} at once"] if self.most else []
        if self.period:
            burst = self.given_burst or 1
            words.append(f"{self.rate}" + (f" in bursts of {burst}" if burst > 1 else ""))
        return ", ".join(words) or "no limit"


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
