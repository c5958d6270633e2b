"""`fluxqueue cancel`: cancels tasks by their ids, from a terminal or a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxqueue_core import Settings
from fluxqueue_core.errors import BrokerUnavailable
from fluxqueue_core.service.command_line import one_line

from .answers import (
    DONE,
    INTERRUPTED,
    NO_ANSWER,
    SOME_NOT,
    add_common,
    add_queue,
    parser_of,
    print_json,
    run,
    said_of,
    say,
)
from .task_ids import GivenId, task_id

if TYPE_CHECKING:
    from fluxqueue_control.cancelling import Cancelled
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue cancel") -> int:
    """Cancels each of the tasks, prints the answers and returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, before it cancels any
            task; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Cancels tasks. Prints a line for each: its id and the answer. `cancelled`: it will not "
        "begin; `requested`: the worker that has it, or claims it, ends it; `already_done`: the "
        "queue does not have it.",
        "0 if all are cancelled or requested, 1 if the queue does not have one of them",
    )
    parser.add_argument(
        "ids",
        nargs="+",
        type=task_id,
        metavar="ID",
        help="a task's id, or the text that was its task_id",
    )
    add_queue(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)
    ids, queue = arguments.ids, arguments.queue

    def act(servers: Servers) -> int:
        from redis.exceptions import RedisError

        from fluxqueue_control.cancelling import cancel
        from fluxqueue_control.errors import UNAVAILABLE
        from fluxqueue_control.topology import NoCluster

        missing = 0
        for position, each in enumerate(ids):
            try:
                answer = cancel(servers.of_queue(queue), queue, each)
            except (RedisError, NoCluster, *UNAVAILABLE) as error:
                left = _not_asked(len(ids) - position - 1)
                settings = Settings(arguments.redis_url, namespace=arguments.namespace)
                text = said_of(error, settings)
                say(prog, f"task {each} (queue {queue!r}): {text}; {_noted(error)}{left}")
                return NO_ANSWER
            except KeyboardInterrupt:
                say(prog, f"interrupted at task {each}; cancel it again, which does no harm")
                return INTERRUPTED
            # At once: another answer may take seconds.
            _print(each, queue, answer, as_json=arguments.json)
            missing += answer == "already_done"
        if not missing:
            return DONE
        say(
            prog,
            f"queue {queue!r} does not have {missing} of {len(ids)} tasks: they have ended, or "
            f"are in another queue (-q) or namespace (--namespace)",
        )
        return SOME_NOT

    return run(prog, arguments, act)


def _print(task: GivenId, queue: str, answer: Cancelled, *, as_json: bool) -> None:
    if as_json:
        print_json({"task_id": task, "queue": queue, "answer": answer, "given": task.given})
        return
    # The text comes last, because it may have spaces.
    given = "" if task.given.lower() == task else f" {one_line(task.given)}"
    print(f"{task} {answer}{given}", flush=True)


def _noted(error: BaseException | None) -> str:
    """Whether Redis may have noted the cancel: not if there was no connection, or no login."""
    from fluxqueue_control.errors import DENIED

    if isinstance(error, DENIED):
        return "it is not cancelled"
    while error is not None:
        if isinstance(error, BrokerUnavailable):
            return "it is not cancelled"
        error = error.__cause__ or error.__context__
    # The reply may be lost.
    return "it may be noted: cancel it again, which does no harm"


def _not_asked(count: int) -> str:
    return f"; of the tasks after it, {count} are not cancelled" if count else ""
