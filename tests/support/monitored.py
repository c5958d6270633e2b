"""The commands that Redis got, from its MONITOR, without the parts that differ between runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
# Milliseconds since 1970, or the negative score of a tombstone.
MS = re.compile(r"-?\b1\d{12}\b")


class Commands:
    """The commands that one database has executed, in order.

    Attributes:
        plain: those of clients.
        of_scripts: those that scripts have called.
    """

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.of_scripts: list[str] = []

    def add(self, shown: dict[str, Any]) -> None:
        # These set a connection up; they differ between tests and versions of redis-py.
        if shown["command"].startswith(("SELECT ", "CLIENT ", "HELLO ")):
            return
        text = MS.sub("<ms>", UUID.sub("<id>", shown["command"]))
        (self.of_scripts if shown["client_type"] == "lua" else self.plain).append(text)

    def in_any_order(self, name: str) -> list[str]:
        """The calls of scripts; neighbouring calls of `name` are sorted."""
        groups = itertools.groupby(self.of_scripts, key=lambda text: text.split()[0] == name)
        return [text for same, group in groups for text in (sorted(group) if same else group)]


@contextmanager
def monitored(redis: Any) -> Iterator[Commands]:
    """Collects what the database of this client executes inside the `with` block."""
    commands = Commands()
    database = str(redis.connection_pool.connection_kwargs.get("db", 0))
    end = "the end of what is monitored"
    with redis.monitor() as monitor:
        yield commands
        redis.echo(end)
        for shown in monitor.listen():
            if end in shown["command"]:
                return
            if str(shown["db"]) == database:
                commands.add(shown)
