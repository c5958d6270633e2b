"""Prints the dead tasks of a queue by what went wrong."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .answers import DONE, age, print_json, print_table, say

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def groups(prog: str, servers: Servers, arguments: Any) -> int:
    """Prints the groups of the dead set, the largest first; returns the exit code."""
    from fluxqueue_control import groups

    queue = arguments.queue
    found = sorted(
        groups.scan(servers.of_queue(queue), queue), key=lambda group: (-group.count, -group.newest)
    )[: arguments.limit]
    if arguments.json:
        for group in found:
            print_json({"queue": queue, **asdict(group)})
        return DONE
    now = time.time()
    print_table(
        ("group", "tasks", "last", "first", "task", "reason", "exception", "place"),
        [
            (
                group.digest,
                group.count,
                age(now - group.newest),
                age(now - group.oldest),
                group.task or None,
                group.reason,
                group.exception or None,
                group.place or None,
            )
            for group in found
        ],
    )
    if others := groups.count_ungrouped(servers.of_queue(queue), queue):
        say(prog, f"{others} more are in no group, because this user may not write the index")
    return DONE
