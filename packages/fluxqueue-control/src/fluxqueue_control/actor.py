"""The actor that makes the changes of a call, for the audit."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Characters of a name that are kept.
MOST = 200

_chosen: ContextVar[str] = ContextVar("fluxqueue_actor", default="")


@contextmanager
def acting(name: str) -> Iterator[None]:
    """Names who makes the changes inside, in this thread or coroutine. An empty name changes
    nothing.

    A program that acts for its users, such as a dashboard, names the user that has logged in.
    """
    before = _chosen.set(name[:MOST] or _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(before)


def actor() -> str:
    """Returns who makes the changes: by default the user of this process, at its host."""
    return _chosen.get() or f"{_user()}@{socket.gethostname()}"[:MOST]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container a user may have no name
        return str(os.getuid())
