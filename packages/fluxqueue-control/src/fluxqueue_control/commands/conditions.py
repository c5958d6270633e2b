"""The options that choose tasks, which several commands have in common."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from fluxqueue_core.errors import ConfigurationError

from .numbers import seconds

if TYPE_CHECKING:
    from fluxqueue_core.service.command_line import Parser

    from fluxqueue_control.selection import Selection

_CONDITIONS = ("id", "task", "reason", "exception", "error", "group", "older", "younger")


def add_id(parser: Parser) -> None:
    """Adds the option for an id."""
    parser.add_argument(
        "--id",
        type=_id,
        metavar="ID",
        help="only the task with this id, or the text that was its task_id; with `019aa0c2*`, all "
        "whose id begins so",
    )


def add_header(parser: Parser, *others: str) -> None:
    """Adds the option for a header.

    Args:
        others: more names of it.
    """
    parser.add_argument(
        "--header",
        *others,
        type=_header,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only tasks with this header; give it again for another one",
    )


def add_conditions(parser: Parser) -> None:
    """Adds the options that choose tasks in any state."""
    parser.add_argument("--all", action="store_true", help="all tasks in this state")
    add_id(parser)
    parser.add_argument(
        "--task", metavar="NAME", help="only tasks of this name, or, with `shop.*`, of these names"
    )
    add_header(parser)
    parser.add_argument(
        "--older", type=seconds, metavar="SECONDS", help="only tasks that died, or were "
        "enqueued, at least this long ago",
    )  # fmt: skip
    parser.add_argument(
        "--younger", type=seconds, metavar="SECONDS", help="the same, at most this long ago"
    )
    parser.add_argument(
        "--argument", metavar="PATH=VALUE",
        help="only tasks with this argument, by its name or position; the value is JSON, or text",
    )  # fmt: skip


def add_dead_conditions(parser: Parser) -> None:
    """Adds the options that choose dead tasks."""
    parser.add_argument("--reason", metavar="WORD", help="only dead tasks with this reason")
    parser.add_argument("--exception", metavar="CLASS", help="only tasks that died of this class")
    parser.add_argument(
        "--error", metavar="TEXT", help="only dead tasks with this text in their error"
    )
    parser.add_argument(
        "--group", metavar="GROUP", help="only this group of `fluxqueue dead groups`"
    )


def selection_of(arguments: Any) -> Selection:
    """Returns the selection that the options mean.

    Raises:
        ConfigurationError: the argument is not PATH=VALUE, or no option chooses tasks.
    """
    from fluxqueue_control.selection import Selection

    from .strike import value_of

    argument, value = None, None
    if arguments.argument is not None:
        argument, equals, text = arguments.argument.partition("=")
        if not argument or not equals:
            raise ConfigurationError(f"{arguments.argument!r} is not PATH=VALUE")
        value = value_of(text)
    wanted = {name: getattr(arguments, name, None) for name in _CONDITIONS}
    headers = dict(arguments.header)
    selection = Selection(**wanted, headers=headers, argument=argument, value=value)
    if selection == Selection() and not arguments.all:
        raise ConfigurationError("say which tasks, or give --all")
    return selection


def _id(text: str) -> str:
    from fluxqueue_control.identifying import read_id

    try:
        return read_id(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from None


def _header(text: str) -> tuple[str, str]:
    from fluxqueue_control.identifying import read_header

    try:
        return read_header(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from None
