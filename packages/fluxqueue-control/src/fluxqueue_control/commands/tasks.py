"""`fluxqueue tasks`: lists the tasks of a queue that are in one state, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxqueue_core.service.command_line import fail

from .answers import (
    DONE,
    add_common,
    add_limit,
    add_queue,
    finish_page,
    parser_of,
    print_json,
    run,
)
from .conditions import add_header, add_id

if TYPE_CHECKING:
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers

# Seconds that it looks for tasks of a name.
_SECONDS = 0.1


def main(argv: list[str], prog: str = "fluxqueue tasks") -> int:
    """Prints a page of tasks; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Lists the tasks of a queue in one state: waiting tasks in the order in which workers take "
        "them, dead ones from the newest on.",
        "0",
    )
    add_queue(parser)
    parser.add_argument(
        "--state",
        choices=("waiting", "delayed", "limited", "claimed", "dead", "finished"),
        default="waiting",
        help="waiting for a worker, delayed, waiting for a limit, claimed by a worker, dead, or "
        "finished with a result that is kept (default: waiting)",
    )
    add_id(parser)
    parser.add_argument(
        "--task", metavar="NAME", help="only tasks of this name, or, with `shop.*`, of these names"
    )
    add_header(parser)
    add_limit(parser, 20)
    parser.add_argument("--cursor", help="continue after the page that printed this cursor")
    add_common(parser)
    arguments = parser.parse_args(argv)
    if arguments.header and arguments.state == "finished":
        parser.error("Redis has no headers of finished tasks; leave --header out")

    def act(servers: Servers) -> int:
        client = servers.of_queue(arguments.queue)
        try:
            (_list_finished if arguments.state == "finished" else _list)(prog, client, arguments)
        except ValueError as error:
            fail(prog, str(error))
        return DONE

    return run(prog, arguments, act)


def _list(prog: str, client: RedisClient, arguments: Any) -> None:
    from fluxqueue_control.search import Query, search

    from .listed import as_json, print_tasks

    queue, state = arguments.queue, arguments.state
    [hits] = search(
        client,
        queue,
        Query(name=arguments.task, id=arguments.id, headers=dict(arguments.header)),
        states=[state],
        cursor=arguments.cursor,
        limit=arguments.limit,
        seconds=_SECONDS,
    )
    if arguments.json:
        for task in hits.tasks:
            print_json(as_json(queue, task))
    else:
        print_tasks([(queue, task) for task in hits.tasks], with_queue=False)
    finish_page(prog, arguments, {"queue": queue, "state": state}, hits.looked, hits.cursor)


def _list_finished(prog: str, client: RedisClient, arguments: Any) -> None:
    from fluxqueue_control.finished import read_finished

    from .listed import finished_as_json, print_finished

    queue, limit = arguments.queue, min(arguments.limit, 1_000)
    by = {"name": arguments.task, "task_id": arguments.id}
    page = read_finished(client, queue, arguments.cursor, limit, **by)
    if arguments.json:
        for task in page.tasks:
            print_json(finished_as_json(queue, task))
    else:
        print_finished([(queue, task) for task in page.tasks])
    finish_page(prog, arguments, {"queue": queue, "state": "finished"}, page.looked, page.cursor)
