"""Settings: each is a flag, a variable and a default, declared as a field of a record.

Why: docs/decisions/0051-an-option-has-one-home.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)

# Seconds. The core takes no more either.
YEAR = 365 * 86_400


def as_text(value: object) -> str:
    """Returns the text from which a setting's parser reads the value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One setting: the flag's value, else the variable's, else the default.

    An empty variable counts as not set. A setting that is yes or no (`default` is a
    bool) has the flags `--name` and `--no-name`. If the setting is a list (`default` is a
    tuple), each flag adds to the flags before it.

    Attributes:
        flags: the short one, if there is one, comes first.
        env: the variable.
        parse: makes the value from a text, or raises a ValueError that says what
            would be right.
        write: makes the text from a value.
    """

    flags: tuple[str, ...]
    env: str
    default: T
    parse: Callable[[str], T]
    help: str
    metavar: str | None = None
    write: Callable[[T], str] = as_text

    @property
    def is_switch(self) -> bool:
        return isinstance(self.default, bool)

    @property
    def is_list(self) -> bool:
        return isinstance(self.default, tuple)

    @property
    def explanation(self) -> str:
        """The help text with the variable and the default."""
        shown = "" if self.default is None else self.write(self.default)
        default = f", default: {shown}" if shown else ""
        return f"{self.help} ({self.env}{default})"


def setting(declared: Setting[T]) -> T:
    """Returns a field for the setting; for the body of a dataclass."""
    made: T = field(default=declared.default, metadata={"setting": declared})
    return made


def settings_of(record: Any) -> dict[str, Setting[Any]]:
    """Returns the settings that a dataclass, or an object of one, declares, by field."""
    return {f.name: f.metadata["setting"] for f in fields(record) if "setting" in f.metadata}


def environment_of(record: Any) -> dict[str, str]:
    """Returns the variables that give another process the settings of this record.
    A setting that is None has no variable."""
    values = {name: getattr(record, name) for name in settings_of(record)}
    return {
        each.env: each.write(values[name])
        for name, each in settings_of(record).items()
        if values[name] is not None
    }


def text(value: str) -> str:
    """Reads any text that is not blank.

    Raises:
        ValueError: the text is empty.
    """
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Returns a parser of whole numbers from `minimum` to `maximum`."""
    return _number(int, "whole number", minimum, maximum)


def seconds(minimum: int) -> Callable[[str], float]:
    """Returns a parser of durations in seconds, from `minimum` to a year."""
    return _number(float, "number of seconds", minimum, YEAR)


def _number(read: Callable[[str], N], what: str, minimum: int, maximum: int) -> Callable[[str], N]:
    def parse(value: str) -> N:
        wanted = f"{value!r} is not a {what} from {minimum} to {maximum}"
        try:
            number = read(value)
        except ValueError:
            raise ValueError(wanted) from None
        # False for a NaN as well.
        if not minimum <= number <= maximum:
            raise ValueError(wanted)
        return number

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Returns a parser that accepts these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
        return value.lower()

    return parse


def yes_or_no(value: str) -> bool:
    """Reads 1/true/yes/on and 0/false/no/off.

    Raises:
        ValueError: it is another word.
    """
    word = value.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither yes (1, true, on) nor no (0, false, off)")


def port(value: str) -> int:
    """Reads the number of a TCP port.

    Raises:
        ValueError: no port has this number.
    """
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        raise ValueError(f"{value!r} is not a port: a whole number from 0 to 65535")
    return number
