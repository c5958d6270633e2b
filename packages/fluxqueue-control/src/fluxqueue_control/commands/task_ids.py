"""Ids of tasks on a command line."""

from __future__ import annotations

import argparse
from uuid import UUID


def task_id(text: str) -> str:
    """Reads the id of a task, in lower case.

    Raises:
        ArgumentTypeError: it is not a UUID.
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a task, which is a UUID; `fluxqueue dead list` and the "
            f"log have ids"
        ) from None
