"""Command lines made of settings.

A wrong value is one line on stderr that names the flag or the variable, and exit
code 2. A typing error needs no traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from .setting import Setting, settings_of

T = TypeVar("T")

USAGE_ERROR = 2


class _Help(argparse.HelpFormatter):
    """Texts as wide as the terminal. argparse makes one for each argument that is added, and
    the module that it asks for the width (shutil) takes 200 KiB with all that it imports."""

    def __init__(self, prog: str, *args: Any, **options: Any) -> None:
        options.setdefault("width", _columns() - 2)
        super().__init__(prog, *args, **options)


def _columns() -> int:
    """The columns of the terminal, as `shutil.get_terminal_size` has them."""
    with contextlib.suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with contextlib.suppress(AttributeError, ValueError, OSError):
        if (columns := os.get_terminal_size(sys.__stdout__.fileno()).columns) > 0:  # type: ignore[union-attr]
            return columns
    return 80


class Parser(argparse.ArgumentParser):
    """An argument parser for settings.

    Attributes:
        settings: those that were added, in order.
    """

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        options.setdefault("formatter_class", _Help)
        # A new flag could change the meaning of an abbreviation in a unit file.
        super().__init__(prog, allow_abbrev=False, **options)
        self._from_environment: list[Callable[[argparse.Namespace], None]] = []
        self.settings: list[Setting[Any]] = []

    def add_settings(self, record: type) -> None:
        """Adds the settings that a dataclass declares, in order."""
        for name, setting in settings_of(record).items():
            self.add_setting(name, setting)

    def add_setting(self, name: str, setting: Setting[T]) -> None:
        """Adds one setting; its value gets this name."""

        def from_flag(text: str) -> T:
            try:
                return setting.parse(text)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None

        kind: dict[str, Any] = {"type": from_flag, "metavar": setting.metavar}
        if setting.is_switch:
            kind = {"action": argparse.BooleanOptionalAction}
        if setting.is_list:
            kind["action"] = _Add
        self.add_argument(
            *setting.flags,
            dest=name,
            default=argparse.SUPPRESS,
            help=setting.explanation.replace("%", "%%"),
            **kind,
        )
        self.settings.append(setting)
        self._fall_back(name, setting)

    def _fall_back(self, name: str, setting: Setting[T]) -> None:
        def fill(namespace: argparse.Namespace) -> None:
            if hasattr(namespace, name):
                return
            text = os.environ.get(setting.env, "")
            try:
                value = setting.parse(text) if text else setting.default
            except ValueError as error:
                self.error(f"variable {setting.env}: {error}")
            setattr(namespace, name, value)

        self._from_environment.append(fill)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if _Made.is_wanted:
            raise _Made(self)
        known, rest = super().parse_known_args(args, namespace)
        for fill in self._from_environment:
            fill(known)
        return known, rest

    def error(self, message: str) -> NoReturn:
        """Prints one line to stderr and exits with 2."""
        fail(self.prog, message)


class _Made(BaseException):
    """Ends a command as soon as it has made its parser."""

    is_wanted = False

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(main: Callable[[list[str], str], int], prog: str) -> Parser:
    """Returns the parser of a command, without running the command.

    Args:
        main: the function of the command, which makes a `Parser` first and parses with it.
    """
    _Made.is_wanted = True
    try:
        main([], prog)
    except _Made as made:
        return made.parser
    finally:
        _Made.is_wanted = False
    raise AssertionError(f"{prog} has parsed nothing")


class _Add(argparse.Action):
    """Adds the values of a flag to those of the same flag before it; keeps each once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        earlier = getattr(namespace, self.dest, ())
        setattr(namespace, self.dest, tuple(dict.fromkeys((*earlier, *values))))


def fail(prog: str, message: str) -> NoReturn:
    """Ends the process with exit code 2 and one line on stderr.

    Raises:
        SystemExit: always.
    """
    print(f"{prog}: {one_line(message)}", file=sys.stderr, flush=True)
    raise SystemExit(USAGE_ERROR)


def one_line(text: str) -> str:
    """Returns the text with line breaks as spaces and control characters escaped."""
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in joined)
