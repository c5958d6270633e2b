"""`fluxqueue audit`: who has changed what in the queues."""

from __future__ import annotations

import time
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from .answers import (
    DONE,
    add_common,
    add_limit,
    add_queues,
    age,
    parser_of,
    print_json,
    print_table,
    queues_of,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxqueue_control.audit import AuditEntry
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue audit") -> int:
    """Prints the last changes; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints what operators have changed, the newest first: who, what, when, and how many tasks "
        "with which answer.",
        "0",
    )
    add_queues(parser)
    add_limit(parser, 20)
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        names = queues_of(servers, arguments.queues)
        found = [
            (queue, entry)
            for queue in names
            for entry in islice(_entries(servers, queue), arguments.limit)
        ]
        found.sort(key=lambda each: -each[1].at)
        del found[arguments.limit :]
        if arguments.json:
            for queue, entry in found:
                print_json({"queue": queue, **asdict(entry)})
            return DONE
        now = time.time()
        rows = [_row(queue, entry, now) for queue, entry in found]
        print_table(("age", "queue", "who", "what", "on", "outcome"), rows)
        return DONE

    return run(prog, arguments, act)


def _entries(servers: Servers, queue: str) -> Iterator[AuditEntry]:
    from fluxqueue_control import audit

    cursor: str | None = None
    while True:
        page = audit.read_page(servers.of_queue(queue), queue, cursor)
        yield from page.entries
        cursor = page.cursor
        if cursor is None:
            return


def _row(queue: str, entry: AuditEntry, now: float) -> list[object]:
    outcome = ", ".join(
        word if word in ("begun", "ended", "stopped") else f"{number} {word}"
        for word, number in entry.outcome.items()
    )
    return [age(now - entry.at), queue, entry.who, entry.what, entry.on, outcome]
