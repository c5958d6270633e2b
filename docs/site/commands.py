"""The reference of the command line, made from the parsers of the commands."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from fluxqueue.cli import OWN, load
from fluxqueue_core.service.command_line import Parser, parser_of

from .links import outside_code

_HEAD = """# Command line

All commands of `fluxqueue`, as their parsers have them: `fluxqueue COMMAND --help` prints the same.
[Commands](../commands.md) describes exit codes and the fields of `--json`,
[operating](../operating.md) says which command to use when.

| command | what it does | package |
|---|---|---|
"""


def parsers() -> dict[str, Parser]:
    """Returns the parser of each command.

    Raises:
        ModuleNotFoundError: the package of a command is not installed.
    """
    made = {}
    for name, own in OWN.items():
        command = load(name)
        if command is None:
            raise ModuleNotFoundError(f"{own.package} is not installed: run scripts/setup")
        made[name] = parser_of(command, f"fluxqueue {name}")
    return dict(sorted(made.items()))


def page() -> str:
    """Returns the page with a section for each command and subcommand."""
    rows = (
        f"| [`{name}`](#fluxqueue-{name}) | {own.summary} | `{own.package}` |\n"
        for name, own in sorted(OWN.items())
    )
    sections = (part for parser in parsers().values() for part in _section(parser, "##"))
    return _HEAD + "".join(rows) + "\n" + "\n".join(sections)


def _section(parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    yield f"{level} `{parser.prog}`\n"
    if parser.description:
        yield escaped(parser.description) + "\n"
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    yield f"```text\n{usage}\n```\n"
    rows = [row for action in parser._actions for row in _row(action)]
    if rows:
        yield "| argument | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"
    if parser.epilog:
        yield escaped(parser.epilog) + "\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _section(subparser, level + "#")


def _row(action: argparse.Action) -> Iterator[str]:
    """Yields the line of an argument, or nothing for --help and subcommands."""
    if action.help == argparse.SUPPRESS or isinstance(
        action, argparse._HelpAction | argparse._SubParsersAction
    ):
        return
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else None)
    if isinstance(value, tuple):
        value = " ".join(value)
    if not action.option_strings:
        shown = code(value or action.dest)
    else:
        taken = "" if action.nargs == 0 else " " + (value or action.dest.upper())
        shown = ", ".join(code(flag + taken) for flag in action.option_strings)
    yield f"| {shown} | {escaped((action.help or '').replace('%%', '%'))} |"


def code(text: str) -> str:
    """Returns a code span for a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


def escaped(text: str) -> str:
    """Returns a text of `--help` as Markdown: the same characters, and code between backticks."""
    return outside_code(
        text, lambda prose: re.sub(r"([\\*_\[|])", r"\\\1", prose).replace("<", "&lt;")
    )
