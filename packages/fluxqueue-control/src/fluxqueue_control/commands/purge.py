"""`fluxqueue purge`: removes all tasks that wait in a queue, or that are dead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .answers import DONE, add_common, parser_of, print_json, run

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue purge") -> int:
    """Purges a queue; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Removes as many tasks as are in one place of a queue when it begins, the oldest first. "
        "Those that wait end as cancelled. What a worker has claimed already runs.",
        "0 when the place is empty or was purged",
    )
    parser.add_argument("queue", metavar="QUEUE", help="the name of the queue")
    parser.add_argument(
        "place",
        choices=("waiting", "delayed", "dead"),
        help="which tasks: those that wait for a worker, for their time, or that are dead",
    )
    parser.add_argument("--dry-run", action="store_true", help="print how many, remove none")
    add_common(parser)
    arguments = parser.parse_args(argv)
    queue, place = arguments.queue, arguments.place

    def act(servers: Servers) -> int:
        from fluxqueue_control.purge import count, purge

        if arguments.dry_run:
            answer(count(servers.of_queue(queue), queue, place), done=False)
            return DONE
        removed = 0
        for removed in purge(servers.of_queue(queue), queue, place):
            if sys.stderr.isatty():
                print(f"\r{removed} removed", end="", file=sys.stderr, flush=True)
        if removed and sys.stderr.isatty():
            print(file=sys.stderr)
        answer(removed, done=True)
        return DONE

    def answer(tasks: int, *, done: bool) -> None:
        if arguments.json:
            print_json({"queue": queue, "place": place, "tasks": tasks, "removed": done})
        else:
            print(f"{tasks} {place} {'removed' if done else 'would be removed'}", flush=True)

    return run(prog, arguments, act)
