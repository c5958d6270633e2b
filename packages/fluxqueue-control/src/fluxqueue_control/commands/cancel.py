"""`fluxqueue cancel`: cancels tasks by their ids, or all that are chosen, as jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

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
    add_rate,
    parser_of,
    print_json,
    run,
    said_of,
    say,
)
from .conditions import add_conditions, selection_of
from .job_runs import changed, code_of, perform
from .numbers import count
from .task_ids import GivenId, task_id

if TYPE_CHECKING:
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers

# The states of tasks that can be cancelled. A task goes from one to the next, so that one which
# moves meanwhile is met again.
_STATES = ("delayed", "waiting", "running")


def main(argv: list[str], prog: str = "fluxqueue cancel") -> int:
    """Cancels each of the tasks that are named, or those that are chosen, prints the answers and
    returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, before it cancels any
            task; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Cancels tasks by their ids. Prints a line for each: its id and the answer. `cancelled`: "
        "it will not begin; `requested`: the worker that has it, or claims it, ends it; "
        "`already_done`: the queue does not have it. Without ids, it cancels all tasks that the "
        "options choose, as a job for each state, which `fluxqueue job` can stop and resume.",
        "0 if all are cancelled or requested, 1 if the queue does not have one of them",
    )
    parser.add_argument(
        "ids",
        nargs="*",
        type=task_id,
        metavar="ID",
        help="a task's id, or the text that was its task_id",
    )
    add_queue(parser)
    parser.add_argument(
        "--state",
        action="append",
        choices=_STATES,
        default=[],
        help="without ids: only tasks in this state (default: all three)",
    )
    add_conditions(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="at most this many tasks")
    add_rate(parser)
    parser.add_argument("--dry-run", action="store_true", help="look for them, cancel none")
    add_common(parser)
    arguments = parser.parse_args(argv)
    chooses = _chooses(arguments)
    if arguments.ids and (chooses or arguments.state or arguments.limit is not None):
        parser.error("give ids, or options that choose tasks, but not both")
    if not arguments.ids and not chooses:
        parser.error("name tasks, or choose them: --task, --id, --header, --argument, --all")
    cancels = _cancel_named if arguments.ids else _cancel_chosen
    return run(prog, arguments, lambda servers: cancels(prog, servers, arguments))


def _chooses(arguments: Any) -> bool:
    given = (arguments.id, arguments.task, arguments.older, arguments.younger, arguments.argument)
    return arguments.all or bool(arguments.header) or any(each is not None for each in given)


def _cancel_chosen(prog: str, servers: Servers, arguments: Any) -> int:
    selection, left = selection_of(arguments), arguments.limit
    code = DONE
    for state in _STATES:
        if (arguments.state and state not in arguments.state) or left == 0:
            continue
        job = perform(prog, servers, arguments, ("cancel", state), selection, limit=left)
        code = max(code, code_of(job))
        if job.state != "done":
            break  # an operator has stopped it
        if left is not None:
            left -= changed(job)
    return code


def _cancel_named(prog: str, servers: Servers, arguments: Any) -> int:
    from redis.exceptions import RedisError

    from fluxqueue_control.cancelling import cancel
    from fluxqueue_control.errors import UNAVAILABLE
    from fluxqueue_control.pacing import keep_rate
    from fluxqueue_control.topology import NoCluster

    ids, queue = arguments.ids, arguments.queue
    missing, began = 0, time.monotonic()
    for position, each in enumerate(ids):
        try:
            keep_rate(began, position, arguments.rate)
            client = servers.of_queue(queue)
            answer: str = (_look if arguments.dry_run else cancel)(client, queue, each)
        except (RedisError, NoCluster, *UNAVAILABLE) as error:
            left = _not_asked(len(ids) - position - 1)
            settings = Settings(arguments.redis_url, namespace=arguments.namespace)
            text = said_of(error, settings)
            noted = "nothing is changed" if arguments.dry_run else _noted(error)
            say(prog, f"task {each} (queue {queue!r}): {text}; {noted}{left}")
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


def _look(client: RedisClient, queue: str, wanted: str) -> str:
    """Whether a cancel would find the task."""
    from fluxqueue_control.tasks import find

    search = find(client, queue, wanted)
    is_gone = search.task is None and search.is_complete
    has_died = search.task is not None and search.task.state == "dead"
    return "already_done" if is_gone or has_died else "dry_run"


def _print(task: GivenId, queue: str, answer: str, *, as_json: bool) -> None:
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
