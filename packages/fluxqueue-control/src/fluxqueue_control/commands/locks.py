"""`fluxqueue locks`: the locks of unique tasks, and the tasks that hold them."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from .answers import (
    DONE,
    add_common,
    add_limit,
    add_queue,
    age,
    finish_page,
    parser_of,
    print_json,
    print_table,
    run,
)

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue locks") -> int:
    """Prints a page of locks; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints the locks of the unique tasks of a queue, in no particular order. Redis looks "
        "through up to 100,000 keys in short calls. If there may be more, a cursor is printed.",
        "0",
    )
    add_queue(parser)
    add_limit(parser, 100)
    parser.add_argument(
        "--cursor", metavar="TEXT", help="continue after the page that printed this cursor"
    )
    add_common(parser)
    arguments = parser.parse_args(argv)
    queue = arguments.queue

    def act(servers: Servers) -> int:
        from fluxqueue_core.errors import ConfigurationError

        from fluxqueue_control import locks

        client = servers.of_queue(queue)
        try:
            page = locks.read_page(client, queue, arguments.cursor, arguments.limit)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        now = time.time()
        if arguments.json:
            for lock in page.locks:
                print_json({"queue": queue, **asdict(lock)})
        else:
            print_table(
                ("task", "since", "ends in", "replaceable", "lock"),
                [
                    (
                        lock.task_id,
                        None if lock.since is None else age(max(now - lock.since, 0.0)),
                        None if lock.left is None else age(lock.left),
                        "yes" if lock.is_replaceable else "no",
                        lock.text or lock.digest,
                    )
                    for lock in page.locks
                ],
            )
        finish_page(prog, arguments, {"queue": queue}, page.looked, page.cursor)
        return DONE

    return run(prog, arguments, act)
