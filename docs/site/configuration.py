"""The settings of all commands by variable, for the page on configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from fluxqueue_core.service.command_line import Parser
from fluxqueue_core.service.setting import Setting

from . import commands

# The line of docs/configuration.md in whose place the table is.
MARKER = "<!-- the table of settings -->\n"
# These have a table each.
_SERVICES = {"start": "worker", "scheduler": "scheduler", "dashboard": "dashboard"}


def table() -> str:
    """Returns a table for each service, and one for the other commands."""
    sections = []
    shown: set[str] = set()
    for command, parser in sorted(
        commands.parsers().items(), key=lambda pair: list({**_SERVICES, pair[0]: ""}).index(pair[0])
    ):
        rows = [
            _row(setting)
            for setting in _settings(parser)
            if command in _SERVICES or setting.env not in shown
        ]
        shown.update(setting.env for setting in _settings(parser))
        if command in _SERVICES:
            sections.append(_titled(f"The {_SERVICES[command]}: `fluxqueue {command}`", rows))
            others: list[str] = []
            sections.append("")
        else:
            others += [row for row in rows if row not in others]
    return "\n".join([*filter(None, sections), _titled("Other commands", others)])


def _titled(title: str, rows: list[str]) -> str:
    head = "| variable | flag | default | meaning |\n|---|---|---|---|\n"
    return f"### {title}\n\n{head}" + "".join(rows)


def _settings(parser: argparse.ArgumentParser) -> Iterator[Setting[Any]]:
    """Yields the settings of a parser and of its subcommands."""
    if isinstance(parser, Parser):
        yield from parser.settings
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _settings(subparser)


def _row(setting: Setting[Any]) -> str:
    default = "" if setting.default is None else setting.write(setting.default)
    cells = (
        commands.code(setting.env),
        commands.code(setting.flags[-1]),
        commands.code(default) if default else "",
        commands.escaped(setting.help),
    )
    return f"| {' | '.join(cells)} |\n"
