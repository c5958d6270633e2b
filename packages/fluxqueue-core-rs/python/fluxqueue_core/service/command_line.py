"""Command lines whose every setting is a flag, a variable or a default.

A wrong value is one line on stderr that names the flag or the variable, and
exit code 2: nobody has to read a traceback because of a typing error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)

USAGE_ERROR = 2
# Seconds. The core takes no more either.
YEAR = 365 * 86_400


class Parser(argparse.ArgumentParser):
    """An argument parser for `setting`s; see the module's text."""

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        # An abbreviated flag in somebody's unit file would change its meaning
        # with the next flag that begins alike.
        super().__init__(prog, allow_abbrev=False, **options)
        self._from_environment: list[Callable[[argparse.Namespace], None]] = []

    def setting(
        self,
        *flags: str,
        env: str,
        default: T,
        parse: Callable[[str], T],
        help: str,
        metavar: str | None = None,
    ) -> None:
        """Adds a setting: the flag's value, else the variable's, else `default`.

        An empty variable counts as not set.

        Args:
            parse: makes the value of a text; raises ValueError whose text
                says what would be right.
        """

        def from_flag(text: str) -> T:
            try:
                return parse(text)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None

        action = self.add_argument(
            *flags,
            type=from_flag,
            default=argparse.SUPPRESS,
            metavar=metavar,
            help=_explain(help, env, default),
        )
        self._fall_back(action.dest, env, default, parse)

    def switch(self, flag: str, *, env: str, default: bool, help: str) -> None:
        """Adds `--flag` and `--no-flag`, with a variable that is yes or no."""
        action = self.add_argument(
            flag,
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=_explain(help, env, "yes" if default else "no"),
        )
        self._fall_back(action.dest, env, default, yes_or_no)

    def _fall_back(self, dest: str, env: str, default: T, parse: Callable[[str], T]) -> None:
        def fill(namespace: argparse.Namespace) -> None:
            if hasattr(namespace, dest):
                return
            text = os.environ.get(env, "")
            try:
                value = parse(text) if text else default
            except ValueError as error:
                self.error(f"variable {env}: {error}")
            setattr(namespace, dest, value)

        self._from_environment.append(fill)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        known, rest = super().parse_known_args(args, namespace)
        for fill in self._from_environment:
            fill(known)
        return known, rest

    def error(self, message: str) -> NoReturn:
        """Prints one line to stderr and exits with 2."""
        fail(self.prog, message)


def fail(prog: str, message: str) -> NoReturn:
    """Ends the process with exit code 2 and one line on stderr.

    Raises:
        SystemExit: always.
    """
    print(f"{prog}: {one_line(message)}", file=sys.stderr, flush=True)
    raise SystemExit(USAGE_ERROR)


def one_line(text: str) -> str:
    """The text with line breaks as spaces and control characters escaped."""
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in joined)


def _explain(help: str, env: str, default: object) -> str:
    text = f"{help} ({env}"
    if isinstance(default, tuple):
        default = ",".join(default)
    if default is not None:
        text += f", default: {default}"
    return text.replace("%", "%%") + ")"


def text(value: str) -> str:
    """Any text that is not blank.

    Raises:
        ValueError: the text is empty.
    """
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """A parser of whole numbers from `minimum` to `maximum`."""
    return _number(int, "whole number", minimum, maximum)


def seconds(minimum: int) -> Callable[[str], float]:
    """A parser of durations in seconds, from `minimum` to a year."""
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
    """A parser that accepts these words, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
        return value.lower()

    return parse


def yes_or_no(value: str) -> bool:
    """Reads 1/true/yes/on and 0/false/no/off.

    Raises:
        ValueError: the text is none of them.
    """
    word = value.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither yes (1, true, on) nor no (0, false, off)")
