"""How many commands Redis was asked for, and how many it executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The commands that producers and workers send, one per round trip; their scripts
# call none of these.
_SENT = ("evalsha", "eval", "blmove", "lpush", "script|load")
# For connections, and the benchmark's own.
_BESIDE = ("select", "hello", "auth", "client|", "ping", "config|", "info", "flushall")


@dataclass(frozen=True)
class Commands:
    """Counts since Redis' statistics were reset.

    Attributes:
        sent: commands that producers and workers sent, one round trip each.
        executed: these, and those that scripts called; without those that set up a
            connection.
    """

    sent: int
    executed: int

    def per_thousand(self, tasks: int) -> dict[str, float]:
        """Returns the counts per 1,000 tasks."""
        return {
            "round trips/1k": self.sent / tasks * 1000,
            "commands/1k": self.executed / tasks * 1000,
        }


def counted(stats: Mapping[str, Any]) -> Commands:
    """From what `INFO commandstats` says, as redis-py reads it.

    Redis counts a command that a script called like one that was sent, so the two
    are told apart by their names.
    """
    calls = {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}
    return Commands(
        sum(calls.get(name, 0) for name in _SENT),
        sum(count for name, count in calls.items() if not name.startswith(_BESIDE)),
    )
