"""`fluxqueue search`: finds tasks by id, name, header, reason, error, argument, or any text."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fluxqueue_core.service.command_line import fail

from .answers import (
    DONE,
    SOME_NOT,
    add_common,
    add_limit,
    parser_of,
    print_json,
    queue_name,
    queues_of,
    run,
    say,
)
from .conditions import add_header, add_id
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.search import Hits, Query
    from fluxqueue_control.servers import Servers

_STATES = ("waiting", "delayed", "limited", "claimed", "dead", "finished")
# Seconds for a search by default, and between two drawings of the bar.
_SECONDS = 0.1
_STEP = 0.1
# Any number of tasks.
_NO_BOUND = 10**12


def main(argv: list[str], prog: str = "fluxqueue search") -> int:
    """Prints the tasks that match; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = _parser(prog)
    arguments = parser.parse_args(argv)
    if not _chooses(arguments):
        parser.error("give a text, --id, --task, --header, --reason, --exception, --error or --arg")
    if arguments.cursor is not None and not len(arguments.queue) == len(arguments.state) == 1:
        parser.error("--cursor needs the --queue and the --state that it came with")

    def act(servers: Servers) -> int:
        from fluxqueue_control.search import Query

        queues = queues_of(servers, arguments.queue)
        query = Query(
            name=arguments.task,
            headers=dict(arguments.header),
            reason=arguments.reason,
            exception=arguments.exception,
            error=arguments.error,
            arguments=dict(arguments.arg),
            text=_id(arguments.text),
            id=arguments.id,
        )
        try:
            return _search(prog, servers, queues, query, arguments)
        except ValueError as error:
            fail(prog, str(error))

    return run(prog, arguments, act)


def _parser(prog: str) -> Any:
    parser = parser_of(
        prog,
        "Searches waiting, delayed, running and dead tasks, and kept results: of finished tasks by "
        "id, --task and --reason (the outcome) only. Redis looks through them in short calls; the "
        "last line says how far it got.",
        "0 if a task is found, 1 if none is",
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="an id, or any part of a task")
    parser.add_argument(
        "-q",
        "--queue",
        action="append",
        type=queue_name,
        default=[],
        metavar="NAME",
        help="the queue (default: all)",
    )
    parser.add_argument(
        "--state",
        action="append",
        choices=_STATES,
        default=[],
        help="only tasks in this state (default: all)",
    )
    add_id(parser)
    parser.add_argument("--task", metavar="NAME", help="the name of the task, such as mails.*")
    add_header(parser, "--tag")
    parser.add_argument(
        "--reason",
        metavar="WORD",
        help="why it is dead, such as failed; of a finished task its outcome, such as succeeded",
    )
    parser.add_argument(
        "--exception", metavar="CLASS", help="the class of its exception, such as KeyError"
    )
    parser.add_argument("--error", metavar="TEXT", help="a part of its error or traceback")
    parser.add_argument(
        "--arg",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a keyword argument, or a member of any argument, by its name (order_id=17); a "
        "positional argument by its position (0=17)",
    )
    add_limit(parser, 20)
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument(
        "--all", action="store_true",
        help="look through all tasks, however long it takes; by default it ends after "
        f"{_SECONDS:g} s",
    )  # fmt: skip
    bound.add_argument(
        "--most", type=int, metavar="N",
        help="how many tasks to look at in each state of a queue, however long it takes",
    )  # fmt: skip
    parser.add_argument(
        "--cursor", help="continue a search of one state at this cursor, which --json prints"
    )
    add_common(parser)
    return parser


def _chooses(arguments: Any) -> bool:
    about_dead = (arguments.reason, arguments.exception, arguments.error)
    given = (arguments.text, arguments.id, arguments.task, *about_dead)
    return any(each is not None for each in given) or bool(arguments.header or arguments.arg)


def _search(prog: str, servers: Servers, queues: Any, query: Query, arguments: Any) -> int:
    from fluxqueue_control.search import search_finished

    from .listed import as_json, finished_as_json, print_finished, print_tasks

    states = arguments.state or _STATES
    rows: list[Any] = []
    ended, finished = [], []
    left, looked = arguments.limit, 0
    ends = time.monotonic() + _SECONDS
    with ProgressBar(_count(servers, queues, arguments), "looked at") as bar:
        for at, queue in enumerate(queues):
            client = servers.of_queue(queue)
            share = max(ends - time.monotonic(), 0.0) / (len(queues) - at)
            for hits, is_last in _hits(client, queue, query, states, left, share, arguments):
                rows += [(queue, task) for task in hits.tasks]
                left -= len(hits.tasks)
                looked += hits.looked
                bar.update(looked)
                if is_last and hits.cursor is not None:
                    end: dict[str, Any] = {"queue": queue, "state": hits.state}
                    ended.append({**end, "looked": hits.looked, "cursor": hits.cursor})
            if left > 0 and "finished" in states:
                page = search_finished(client, queue, query, limit=min(left, 1_000))
                finished += [(queue, task) for task in page.tasks]
                left -= len(page.tasks)
            if left <= 0:
                break
    number = len(rows) + len(finished)
    if arguments.json:
        for queue, task in rows:
            print_json(as_json(queue, task))
        for queue, task in finished:
            print_json(finished_as_json(queue, task))
        print_json({"looked": looked, "found": number, "more": ended})
    else:
        print_tasks(rows, with_queue=True)
        print_finished(finished)
        text = f"{number} found among {looked:,} tasks"
        if ended:
            where = ", ".join(f"{each['state']} of {each['queue']}" for each in ended)
            text += f"; not looked through to the end: {where} (--all, --limit)"
        say(prog, text)
    return DONE if number else SOME_NOT


def _hits(
    client: RedisClient,
    queue: str,
    query: Query,
    states: Sequence[str],
    limit: int,
    seconds: float,
    arguments: Any,
) -> Iterator[tuple[Hits, bool]]:
    """Yields what each state has, and whether that is the last of the state."""
    from fluxqueue_control.search import search

    here: Any = [state for state in states if state != "finished"]
    if not arguments.all:
        rest: dict[str, Any] = {"seconds": seconds, "most": _NO_BOUND}
        if arguments.most is not None:
            rest = {"most": arguments.most}
        found = search(
            client, queue, query, states=here, cursor=arguments.cursor, limit=limit, **rest
        )
        yield from ((hits, True) for hits in found)
        return
    for state in here:
        cursor = arguments.cursor
        while limit > 0:
            rest = {"cursor": cursor, "limit": limit, "seconds": _STEP, "most": _NO_BOUND}
            hits = next(search(client, queue, query, states=[state], **rest), None)
            if hits is None:
                break
            limit -= len(hits.tasks)
            cursor = hits.cursor
            yield hits, cursor is None or limit <= 0
            if cursor is None:
                break


def _count(servers: Servers, queues: Sequence[str], arguments: Any) -> int | None:
    """The tasks that the bar counts: those of all states."""
    from fluxqueue_control.queues import read_lengths

    if not arguments.all or arguments.state:
        return None
    found = [read_lengths(servers.of_queue(queue), [queue])[queue] for queue in queues]
    counts = [
        (each.pending, each.suspects, each.delayed, each.claimed, each.dead) for each in found
    ]
    return sum(count or 0 for each in counts for count in each)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as order_id=17")
    return name, value


def _id(text: str | None) -> str | None:
    """The text; an id in the form that messages have."""
    return str(UUID(text)) if text is not None and _is_id(text) else text


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
