"""`fluxqueue purge`: removes all tasks that wait in a queue, or that are dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .answers import DONE, add_common, add_rate, parser_of, print_json, queue_name, run
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue purge") -> int:
    """Purges a queue; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Removes the tasks of a queue that are in one state when it starts, oldest first. Waiting "
        "tasks end as cancelled. It leaves claimed tasks alone.",
        "0 if there was nothing to remove or all was removed",
    )
    parser.add_argument("queue", type=queue_name, metavar="QUEUE", help="the name of the queue")
    parser.add_argument(
        "part",
        choices=("waiting", "delayed", "dead"),
        help="the state of the tasks: waiting for a worker, delayed, or dead",
    )
    parser.add_argument("--dry-run", action="store_true", help="print how many, remove none")
    add_rate(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)
    queue, part = arguments.queue, arguments.part

    def act(servers: Servers) -> int:
        from fluxqueue_control.pacing import keep_rate
        from fluxqueue_control.purge import count, purge

        if arguments.dry_run:
            answer(count(servers.of_queue(queue), queue, part), done=False)
            return DONE
        began = time.monotonic()
        removed, client = 0, servers.of_queue(queue)
        with ProgressBar(count(client, queue, part), "removed") as bar:
            for removed in purge(client, queue, part):
                bar.update(removed)
                keep_rate(began, removed, arguments.rate)
        answer(removed, done=True)
        return DONE

    def answer(tasks: int, *, done: bool) -> None:
        if arguments.json:
            print_json({"queue": queue, "part": part, "tasks": tasks, "removed": done})
        else:
            print(f"{tasks} {part} {'removed' if done else 'would be removed'}", flush=True)

    return run(prog, arguments, act)
