"""The settings of all commands by variable, for the page on configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from fluxqueue_core.service.command_line import Parser
from fluxqueue_core.service.setting import Setting

from . import commands

# The line of docs/configuration.md in whose place the table is.
MARKER = "<!-- the table of settings -->\n"
# These have a table each.
_SERVICES = {"start": "The worker", "scheduler": "The scheduler", "dashboard": "The dashboard"}


def table() -> str:
    """Returns a table for each service, and one of what only other commands have."""
    parsers = commands.parsers()
    services = {name: list(_settings(parsers.pop(name))) for name in _SERVICES}
    shown = {setting.env for settings in services.values() for setting in settings}
    rest = [s for parser in parsers.values() for s in _settings(parser) if s.env not in shown]
    tables = [
        _titled(f"{_SERVICES[name]}: `fluxqueue {name}`", map(_row, settings))
        for name, settings in services.items()
    ]
    # Many commands share a setting.
    tables.append(_titled("Other commands", dict.fromkeys(map(_row, rest))))
    return "\n".join(tables)


def _titled(title: str, rows: Iterable[str]) -> str:
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
