"""Ids of tasks on a command line."""

from __future__ import annotations

import argparse

from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.command_line import one_line
from fluxqueue_core.task_ids import read_task_id


class GivenId(str):
    """The id of a task, as its messages have it.

    Attributes:
        given: what the command line has: the id, or the text that was the `task_id` of a call.
    """

    given: str

    def __new__(cls, given: str) -> GivenId:
        """Reads what was given, as calls do.

        Raises:
            ConfigurationError: it is empty, longer than 256 characters, or not valid text.
        """
        found = super().__new__(cls, read_task_id(given))
        found.given = given
        return found

    @property
    def named(self) -> str:
        """The id, and the text that was given for it."""
        return self if self == self.given.lower() else f"{self} ({one_line(self.given)})"


def task_id(text: str) -> GivenId:
    """Reads the id of a task, or the text that was the `task_id` of a call.

    Raises:
        ArgumentTypeError: no call can have it.
    """
    try:
        return GivenId(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
