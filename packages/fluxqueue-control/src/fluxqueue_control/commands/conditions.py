"""The options for the id and the headers of tasks, which several commands have in common."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from fluxqueue_core.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxqueue_core.service.command_line import Parser


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
