"""`fluxqueue job`: replays, deletes, cancels or moves all tasks that are chosen, as a job."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
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
from .conditions import add_header, add_id
from .numbers import count, seconds
from .progress_bar import ProgressBar
from .strike import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxqueue_control.jobs import Job
    from fluxqueue_control.selection import Selection
    from fluxqueue_control.servers import Servers

# Seconds between two lines of progress that are not for a terminal.
_EVERY = 5.0


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
    parser.add_argument("--all", action="store_true", help="all tasks in this state")
    add_id(parser)
    parser.add_argument("--task", metavar="NAME", help="only tasks of this name")
    add_header(parser)
    parser.add_argument("--reason", metavar="WORD", help="only dead tasks with this reason")
    parser.add_argument("--exception", metavar="CLASS", help="only tasks that died of this class")
    parser.add_argument(
        "--error", metavar="TEXT", help="only dead tasks with this text in their error"
    )
    parser.add_argument(
        "--group", metavar="GROUP", help="only this group of `fluxqueue dead groups`"
    )
    parser.add_argument(
        "--older", type=seconds, metavar="SECONDS", help="only tasks that died, or were "
        "enqueued, at least this long ago",
    )  # fmt: skip
    parser.add_argument(
        "--younger", type=seconds, metavar="SECONDS", help="the same, at most this long ago"
    )
    parser.add_argument(
        "--argument", metavar="PATH=VALUE",
        help="only tasks with this argument, by its name or position; the value is JSON, or text",
    )  # fmt: skip
    parser.add_argument(
        "--to", default="", metavar="QUEUE", help="the queue to which `move` moves them"
    )
    add_rate(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="at most this many tasks")
    parser.add_argument("--drop-expiry", action="store_true", help="replay without an expiry")
    parser.add_argument("--dry-run", action="store_true", help="count them, change nothing")


def _selection(arguments: Any) -> Selection:
    from fluxqueue_core.errors import ConfigurationError

    from fluxqueue_control.selection import Selection

    argument, value = None, None
    if arguments.argument is not None:
        argument, equals, text = arguments.argument.partition("=")
        if not argument or not equals:
            raise ConfigurationError(f"{arguments.argument!r} is not PATH=VALUE")
        value = value_of(text)
    wanted = {
        name: getattr(arguments, name)
        for name in ("id", "task", "reason", "exception", "error", "group", "older", "younger")
    }
    headers = dict(arguments.header)
    selection = Selection(**wanted, headers=headers, argument=argument, value=value)
    if selection == Selection() and not arguments.all:
        raise ConfigurationError("say which tasks, or give --all")
    return selection


def _start(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import jobs

    queue = arguments.queue
    job = jobs.start(
        servers.of_queue(queue),
        queue,
        arguments.verb,
        arguments.part,
        _selection(arguments),
        target=arguments.to,
        rate=arguments.rate,
        limit=arguments.limit,
        keep_expiry=not arguments.drop_expiry,
        dry_run=arguments.dry_run,
    )
    say(prog, f"job {job.id}")
    return _watch(servers, job, jobs.run(lambda: servers.of_queue(queue), queue, job), arguments)


def _resume(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import jobs

    queue = arguments.queue
    try:
        job = jobs.show(servers.of_queue(queue), queue, arguments.id)
        steps = jobs.resume(lambda: servers.of_queue(queue), queue, arguments.id)
        return _watch(servers, job, steps, arguments)
    except (LookupError, jobs.JobIsRunning) as error:
        say(prog, str(error))
        return SOME_NOT


def _watch(servers: Servers, job: Job | None, steps: Iterator[Job], arguments: Any) -> int:
    """Performs a job. A terminal has a bar, a log a line every few seconds."""
    told, is_terminal = time.monotonic(), sys.stderr.isatty()
    total, already = None, 0
    if job is not None and is_terminal:
        total, already = _total(servers, arguments.queue, job), _looked(job)
    with ProgressBar(total, "looked at", is_shown=is_terminal, already=already) as bar:
        for job in steps:
            bar.update(_looked(job))
            if not is_terminal and time.monotonic() - told > _EVERY:
                told = time.monotonic()
                print(_progress(job), file=sys.stderr, flush=True)
    assert job is not None
    if arguments.json:
        print_json(_object(job, arguments.queue))
    else:
        print(f"{job.state}: {_progress(job)}")
    return DONE if job.state == "done" and job.outcome.keys() <= {"done", "chosen"} else SOME_NOT


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
            print_json(_object(job, arguments.queue))
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
                _progress(job),
            )
            for job in found
        ],
    )
    return DONE


def _total(servers: Servers, queue: str, job: Job) -> int | None:
    """How many tasks the job will look at, about; None if only the job can tell."""
    from fluxqueue_control.queues import read_lengths
    from fluxqueue_control.selection import Selection

    takes_all = job.selection == Selection()
    if job.selection.group is not None or (job.limit is not None and not takes_all):
        return None
    there = read_lengths(servers.of_queue(queue), [queue])[queue]
    parts: dict[str, tuple[int | None, ...]] = {
        "dead": (there.dead,),
        "delayed": (there.delayed,),
        "waiting": (there.pending, there.suspects),
        "running": (there.claimed,),
    }
    total = sum(number or 0 for number in parts[job.part])
    if job.part != "running":
        total += job.outcome.get("done", 0)  # these are there no longer
    return total if job.limit is None else min(total, job.limit)


def _looked(job: Job) -> int:
    from fluxqueue_control.selection import Selection

    # A page counts as seen at its end. If all its tasks are chosen, each answer counts at once.
    return sum(job.outcome.values()) if job.selection == Selection() else job.seen


def _progress(job: Job) -> str:
    counts = ", ".join(f"{number} {word}" for word, number in job.outcome.items() if number)
    return f"{job.seen} seen, {counts or 'none changed'}"


def _object(job: Job, queue: str) -> dict[str, Any]:
    return {"queue": queue, **asdict(job), "selection": job.selection.parts()}
