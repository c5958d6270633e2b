"""The texts that `--help` prints are plain English, wherever the code has them.

`test_plain_english.py` reads the source, and so misses a text that the code puts together.
This test runs the parser of each command.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from fluxqueue.cli import OWN, load
from fluxqueue_core.service.command_line import Parser, parser_of
from support.plain_english import RULES, Text, find


def texts(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The description, the epilog and the help of each argument, those of subcommands too."""
    yield from filter(None, (parser.description, parser.epilog))
    for action in parser._actions:
        if action.help and action.help != argparse.SUPPRESS:
            yield action.help
        if isinstance(action, argparse._SubParsersAction):
            # Their lines in the help of the command.
            yield from (choice.help for choice in action._choices_actions if choice.help)
            for subcommand in action.choices.values():
                yield from texts(subcommand)


def tics(parser: argparse.ArgumentParser) -> list[str]:
    return [
        f"{tic.words!r} in {text!r}: write {RULES[tic.rule].hint}"
        for text in texts(parser)
        for tic in find(Text(1, text))
    ]


@pytest.mark.parametrize("name", OWN)
def test_the_help_of_a_command_has_no_tics(name: str) -> None:
    command = load(name)
    assert command, f"{OWN[name].package} is not installed"
    parser = parser_of(command, f"fluxqueue {name}")
    assert len(list(texts(parser))) > 1
    assert tics(parser) == []
    assert [*find(Text(1, OWN[name].summary))] == []


def test_a_tic_is_found_in_each_text_of_a_parser() -> None:
    # In a list, because the check of the sources reads the arguments of parsers too.
    bad = [
        "Nobody reads this.",
        "Exit code: 0 all the same.",
        "waits so many seconds",
        "show it anew",
        "Shows what came of it.",
        "the task that is to run",
    ]
    parser = Parser("tool", description=bad[0], epilog=bad[1])
    parser.add_argument("--time", help=bad[2])
    verbs = parser.add_subparsers()
    verb = verbs.add_parser("show", help=bad[3], description=bad[4])
    verb.add_argument("name", help=bad[5])
    found = [line.split("'")[1] for line in tics(parser)]
    assert found == ["Nobody", "all the same", "so many", "anew", "came of", "is to run"]
