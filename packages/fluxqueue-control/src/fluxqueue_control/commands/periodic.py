"""`fluxqueue periodic`: lists periodic tasks, shows what they did, pauses, resumes, runs and
removes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxqueue_core.service.command_line import fail

from .answers import (
    DONE,
    SOME_NOT,
    add_common,
    add_queue,
    age,
    parser_of,
    print_json,
    print_table,
    queue_name,
    queues_of,
    run,
    say,
)

if TYPE_CHECKING:
    from fluxqueue_core.periodic.record import Rules

    from fluxqueue_control.periodic import PeriodicTask, Run
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers

_ABSENT = "is not a periodic task of this queue (-q) and namespace (--namespace)"


class Answer(NamedTuple):
    """The answer about one periodic task.

    Attributes:
        word: what was done, or why not.
        why_not: text for people; empty if it was done.
        task_id: of the run that was enqueued.
    """

    word: str
    why_not: str = ""
    task_id: str | None = None


def _pause(client: RedisClient, queue: str, periodic_id: str) -> Answer:
    from fluxqueue_control import periodic

    is_there = periodic.pause(client, queue, periodic_id)
    return Answer("paused") if is_there else Answer("absent", _ABSENT)


def _resume(client: RedisClient, queue: str, periodic_id: str) -> Answer:
    from fluxqueue_control import periodic

    is_there = periodic.resume(client, queue, periodic_id)
    return Answer("resumed") if is_there else Answer("absent", _ABSENT)


def _run_now(client: RedisClient, queue: str, periodic_id: str) -> Answer:
    from fluxqueue_control import periodic

    try:
        task_id = periodic.run_now(client, queue, periodic_id)
    except periodic.RunInProgress:
        return Answer("in_progress", "has a run that has not ended, and its runs may not overlap")
    except periodic.UnreadablePeriodicTask:
        return Answer("unreadable", "was written by a later release, or by another program")
    return Answer("absent", _ABSENT) if task_id is None else Answer("enqueued", task_id=task_id)


def _remove(client: RedisClient, queue: str, periodic_id: str) -> Answer:
    from fluxqueue_control import periodic

    word = periodic.remove(client, queue, periodic_id)
    if word == "declared":
        return Answer(
            word, "is declared by the code of a worker, which would add it again; pause it"
        )
    return Answer(word) if word == "removed" else Answer(word, _ABSENT)


# The verbs that change something: what they do, and the function for one periodic task.
_CHANGES: dict[str, tuple[str, Callable[[RedisClient, str, str], Answer]]] = {
    "pause": ("leave out the moments of periodic tasks until they are resumed", _pause),
    "resume": ("resume periodic tasks, from their next moments on", _resume),
    "run-now": ("enqueue a run of periodic tasks now, in addition to their moments", _run_now),
    "remove": ("remove periodic tasks that a call has scheduled", _remove),
}


def main(argv: list[str], prog: str = "fluxqueue periodic") -> int:
    """Reads or changes periodic tasks; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Lists and changes periodic tasks.",
        "0 if everything was done, 1 if a periodic task does not exist or can't be changed",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="print periodic tasks with their next and last runs")
    listing.add_argument(
        "-q",
        "--queue",
        type=queue_name,
        metavar="NAME",
        help="the queue (default: all that a worker has served)",
    )
    add_common(listing)
    history = verbs.add_parser("history", help="print the last runs of a periodic task")
    history.add_argument("ids", nargs=1, metavar="ID", help="its id")
    for verb, (summary, _) in _CHANGES.items():
        changing = verbs.add_parser(verb, help=summary, description=f"{summary.capitalize()}.")
        changing.add_argument("ids", nargs="+", metavar="ID", help="the id of a periodic task")
        _add_options(changing)
    _add_options(history)
    arguments = parser.parse_args(argv)
    for periodic_id in getattr(arguments, "ids", ()):
        if not _is_text(periodic_id):
            fail(prog, f"the id {periodic_id!r} is not valid UTF-8; `{prog} list` prints the ids")
    act = {"list": _list, "history": _history}.get(arguments.verb, _change)
    return run(prog, arguments, lambda servers: act(f"{prog} {arguments.verb}", servers, arguments))


def _is_text(word: str) -> bool:
    """Whether a word of the command line is text. Python decodes other bytes to surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _add_options(parser: Any) -> None:
    add_queue(parser)
    add_common(parser)


def _change(prog: str, servers: Servers, arguments: Any) -> int:
    _, change = _CHANGES[arguments.verb]
    queue, code = arguments.queue, DONE
    for periodic_id in arguments.ids:
        answer = change(servers.of_queue(queue), queue, periodic_id)
        if arguments.json:
            task = {} if answer.task_id is None else {"task_id": answer.task_id}
            print_json({"queue": queue, "id": periodic_id, "answer": answer.word, **task})
        else:
            shown = "" if answer.task_id is None else f" {answer.task_id}"
            print(f"{periodic_id} {answer.word}{shown}", flush=True)
        if answer.why_not:
            say(prog, f"{periodic_id!r} {answer.why_not}")
            code = SOME_NOT
    return code


def _list(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import periodic

    names = queues_of(servers, [arguments.queue] if arguments.queue else [])
    found = (
        (queue, task) for queue in names for task in periodic.scan(servers.of_queue(queue), queue)
    )
    if arguments.json:
        for queue, task in found:
            print_json({"queue": queue, **_parts(task)})
        return DONE
    heads = ("queue", "id", "state", "next", "last", "task", "when")
    rows = sorted((queue, task.id, *_row(task)) for queue, task in found)
    print_table(heads, rows)
    return DONE


def _history(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import periodic

    queue, [name] = arguments.queue, arguments.ids
    task = periodic.show(servers.of_queue(queue), queue, name)
    if task is None:
        say(prog, f"{name!r} {_ABSENT}")
        return SOME_NOT
    if arguments.json:
        for each in task.runs:
            print_json({"queue": queue, "id": name, **_run_parts(each)})
    else:
        rows = [(_time(each.moment), each.kind, f"{each.late:.3f} s") for each in task.runs]
        print_table(("moment", "kind", "late"), rows)
    return DONE


def _parts(task: PeriodicTask) -> dict[str, Any]:
    rules = task.rules
    times: dict[str, Any] = {}
    if rules is not None and rules.times.every is not None:
        times = {"every": rules.times.every / 1_000}
    elif rules is not None:
        times = {"cron": rules.times.cron, "tz": rules.times.tz}
    return {
        "id": task.id,
        "task": None if rules is None else rules.task,
        "state": _state(task),
        "declared": task.declared,
        "overlap": None if rules is None else rules.overlap or "allow",
        "next": task.next,
        "last": _run_parts(task.runs[0]) if task.runs else None,
        **times,
    }


def _run_parts(run: Run) -> dict[str, Any]:
    return {"moment": run.moment, "kind": run.kind, "late": run.late}


def _row(task: PeriodicTask) -> tuple[str, ...]:
    rules = task.rules
    last = f"{_time(task.runs[0].moment)} {task.runs[0].kind}" if task.runs else "-"
    return (
        _state(task),
        "-" if task.next is None else _time(task.next),
        last,
        "-" if rules is None else rules.task,
        "-" if rules is None else _when(rules),
    )


def _state(task: PeriodicTask) -> str:
    if task.rules is None:
        return "unreadable"
    return "paused" if task.paused else "active"


def _when(rules: Rules) -> str:
    times = rules.times
    if times.every is not None:
        return f"every {age(times.every / 1_000)}"
    return f"{times.cron} {times.tz}"


def _time(seconds: float) -> str:
    """Returns a moment in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    fraction = "" if moment.microsecond == 0 else f".{moment.microsecond // 1_000:03d}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"
