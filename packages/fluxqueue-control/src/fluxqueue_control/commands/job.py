"""`fluxqueue job`: replays, deletes, cancels or moves all tasks that are chosen, as a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .answers import (
    DONE,
    SOME_NOT,
    add_common,
    add_queue,
    add_rate,
    age,
    parser_of,
    print_json,
    print_table,
    run,
    say,
)
from .conditions import add_conditions, add_dead_conditions, selection_of
from .job_runs import as_json, code_of, perform, progress, watch
from .numbers import count

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue job") -> int:
    """Starts, resumes, stops or prints jobs; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Changes many tasks of a queue at once. Redis has the progress: another terminal can "
        "print it or stop the job, and you can resume a job that was killed.",
        "0 if everything was done, 1 if some tasks were not changed or the job does not exist",
    )
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    start = verbs.add_parser("start", help="start a job", description="Starts a job.")
    _add_start(start)
    resume = verbs.add_parser("resume", help="continue a job", description="Resumes a job.")
    stop = verbs.add_parser("stop", help="stop a job", description="Stops a job.")
    show = verbs.add_parser("list", help="print the last jobs", description="Prints jobs.")
    for verb in (resume, stop):
        verb.add_argument("id", metavar="ID", help="a job, as `list` names it")
    for verb in (start, resume, stop, show):
        add_queue(verb)
        add_common(verb)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        commands = {"start": _start, "resume": _resume, "stop": _stop, "list": _list}
        return commands[arguments.command](f"{prog} {arguments.command}", servers, arguments)

    return run(prog, arguments, act)


def _add_start(parser: Any) -> None:
    parser.add_argument(
        "verb", choices=("replay", "delete", "cancel", "move"), help="what to do with the tasks"
    )
    parser.add_argument(
        "part", choices=("dead", "delayed", "waiting", "running"), help="the state of the tasks"
    )
    add_conditions(parser)
    add_dead_conditions(parser)
    parser.add_argument(
        "--to", default="", metavar="QUEUE", help="the queue to which `move` moves them"
    )
    add_rate(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="at most this many tasks")
    parser.add_argument("--drop-expiry", action="store_true", help="replay without an expiry")
    parser.add_argument("--dry-run", action="store_true", help="count them, change nothing")


def _start(prog: str, servers: Servers, arguments: Any) -> int:
    job = perform(
        *(prog, servers, arguments, (arguments.verb, arguments.part)),
        selection_of(arguments),
        target=arguments.to,
        limit=arguments.limit,
        keep_expiry=not arguments.drop_expiry,
    )
    return code_of(job)


def _resume(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import jobs

    queue = arguments.queue
    try:
        job = jobs.show(servers.of_queue(queue), queue, arguments.id)
        steps = jobs.resume(lambda: servers.of_queue(queue), queue, arguments.id)
        return code_of(watch(servers, job, steps, arguments))
    except (LookupError, jobs.JobIsRunning) as error:
        say(prog, str(error))
        return SOME_NOT


def _stop(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import jobs

    queue = arguments.queue
    did_run = jobs.stop(servers.of_queue(queue), queue, arguments.id)
    if arguments.json:
        print_json({"queue": queue, "job": arguments.id, "stopped": did_run})
    elif did_run:
        print(f"{arguments.id} stops")
    if not did_run:
        say(prog, f"no job {arguments.id!r} of queue {queue!r} runs; `list` prints them")
    return DONE if did_run else SOME_NOT


def _list(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import jobs

    found = jobs.read_last(servers.of_queue(arguments.queue), arguments.queue)
    if arguments.json:
        for job in found:
            print_json(as_json(job, arguments.queue))
        return DONE
    now = time.time()
    print_table(
        ("job", "state", "verb", "part", "started", "updated", "who", "progress"),
        [
            (
                job.id,
                job.state,
                job.verb,
                job.part,
                age(now - job.started),
                age(now - job.updated),
                job.who,
                progress(job),
            )
            for job in found
        ],
    )
    return DONE
