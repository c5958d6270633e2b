"""Prints the dead tasks of a queue by what went wrong."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .answers import DONE, age, print_json, print_table, say
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers

# Seconds between two drawings of the bar.
_STEP = 0.2


def groups(prog: str, servers: Servers, arguments: Any) -> int:
    """Prints the groups of the dead set, the largest first; returns the exit code."""
    from fluxqueue_control import groups

    queue = arguments.queue
    client = servers.of_queue(queue)
    _add_new(client, queue)
    found = sorted(
        groups.scan(client, queue, refresh=False),
        key=lambda group: (-group.count, -group.newest),
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
    if others := groups.count_ungrouped(client, queue):
        say(prog, f"{others} more are in no group, because this user may not write the index")
    return DONE


def _add_new(client: RedisClient, queue: str) -> None:
    """Brings the index up to date. The first time that takes a while."""
    from fluxqueue_control import groups

    total = left = groups.count_ungrouped(client, queue)
    with ProgressBar(total, "grouped") as bar:
        while groups.add_new(client, queue, _STEP):
            before, left = left, groups.count_ungrouped(client, queue)
            bar.update(total - left)
            if not left or left >= before:
                return
