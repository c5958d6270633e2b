"""`fluxqueue task`: where a task is, and why it does not run; moves and deletes it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from fluxqueue_core.service.command_line import one_line

from .answers import (
    DONE,
    SOME_NOT,
    add_common,
    age,
    parser_of,
    print_json,
    queue_name,
    queues_of,
    run,
    say,
)
from .listed import finished_as_json
from .task_ids import task_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fluxqueue_control.finished import FinishedTask
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers
    from fluxqueue_control.tasks import LocatedTask

# Answers to a change that has been made, or that was made before.
_GOOD = ("deleted", "requested", "moved", "unchanged")
_WHY_NOT = {
    "too_deep": "it is deep in a long list, from which Redis can't take it in a short call",
    "bound": "its lock, its limit or its result is in keys of this queue",
    "duplicate": "the other queue has the same message",
    "cancelled": "it was cancelled, and will not begin",
    "unreadable": "its message is missing or malformed",
}
# Bytes of the arguments that are shown to people.
_MOST_SHOWN = 500


def main(argv: list[str], prog: str = "fluxqueue task") -> int:
    """Prints where a task is, or changes that; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Prints where a task is. A task that has ended is found if it is dead, or if its result is "
        "kept.",
        "0 if the task is found (and changed), 1 if not",
    )
    parser.add_argument(
        "id", type=task_id, metavar="ID", help="its id, or the text that was its task_id"
    )
    parser.add_argument(
        "-q",
        "--queue",
        type=queue_name,
        metavar="NAME",
        help="its queue (default: all)",
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--delete", action="store_true", help="delete it, if no worker has it")
    change.add_argument("--run-now", action="store_true", help="run it before it is due")
    change.add_argument(
        "--move",
        type=queue_name,
        metavar="QUEUE",
        help="move it to this queue, if no worker has it",
    )
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control import tasks

        names = queues_of(servers, [arguments.queue] if arguments.queue else [])
        overlooked = []
        for queue in names:
            client = servers.of_queue(queue)
            changes = arguments.delete or arguments.run_now or arguments.move is not None
            ended = None if changes else _ended(client, queue, arguments.id)
            if ended is not None:
                _show_ended(queue, ended, arguments)
                return DONE
            search = tasks.find(client, queue, arguments.id)
            if search.task is not None:
                if changes:
                    return _change(prog, servers, queue, arguments)
                _show(client, queue, search.task, arguments)
                return DONE
            if not search.is_complete:
                overlooked.append(queue)
        say(prog, _not_found(arguments.id.named, names, overlooked))
        return SOME_NOT

    return run(prog, arguments, act)


def _not_found(task: str, names: Sequence[str], overlooked: Sequence[str]) -> str:
    if not names:
        return "no worker has served a queue here; name the queue (-q) or the namespace"
    where = f"queue {names[0]!r}" if len(names) == 1 else f"{len(names)} queues"
    text = f"task {task} is not in {where}: it has ended, or is in another queue (-q) or namespace"
    if overlooked:
        text += f"; not looked through to the end, because they are long: {', '.join(overlooked)}"
    return text


def _change(prog: str, servers: Servers, queue: str, arguments: Any) -> int:
    from fluxqueue_control import registry, tasks

    client = servers.of_queue(queue)
    parts = {"task_id": arguments.id, "queue": queue}
    answer: str
    if arguments.move is not None:
        parts["target"] = arguments.move
        # A second call finds it there.
        is_there = arguments.move == queue
        moved = None if is_there else tasks.move(client, queue, arguments.id, arguments.move)
        answer = moved or "unchanged"
    else:
        change = tasks.delete if arguments.delete else tasks.run_now
        answer = change(client, queue, arguments.id)
    if arguments.json:
        print_json({**parts, "answer": answer})
    else:
        print(f"{arguments.id} {answer}", flush=True)
    if answer == "running":
        say(prog, f"a worker has it; stop it by: fluxqueue cancel -q {queue} {arguments.id}")
    if answer == "requested":
        say(prog, "it is deep in a long list: the worker that claims it ends it")
    target = arguments.move
    if (
        answer == "moved"
        and target
        and target not in registry.read_names(servers.of_registry()).names
    ):
        say(prog, f"queue {target!r} is new: the task waits until a worker serves it")
    if target is not None and answer in _WHY_NOT:
        say(prog, f"it stays in queue {queue!r}: {_WHY_NOT[answer]}")
    return DONE if answer in _GOOD else SOME_NOT


def _ended(client: RedisClient, queue: str, wanted: str) -> FinishedTask | None:
    """The task if Redis has only its outcome. A dead one is in the dead set too."""
    from fluxqueue_control import dead, finished

    ended = finished.show_finished(client, queue, wanted)
    return None if ended is None or dead.entries_of(client, queue, wanted) else ended


def _show_ended(queue: str, task: FinishedTask, arguments: Any) -> None:
    parts = finished_as_json(queue, task)
    if arguments.json:
        print_json(parts)
        return
    now = time.time()
    for name in ("enqueued", "started", "finished"):
        if parts[name] is not None:
            parts[name] = f"{age(max(now - parts[name], 0.0))} ago"
    del parts["queue"], parts["task_id"], parts["kept_until"]
    if task.kept_until:
        parts["kept"] = f"for {age(max(task.kept_until - now, 0.0))}"
    _print(queue, parts, arguments)


def _show(client: RedisClient, queue: str, task: LocatedTask, arguments: Any) -> None:
    parts = dict(_parts(client, queue, task))
    if arguments.json:
        print_json({"task_id": arguments.id, "queue": queue, **parts})
        return
    _print(queue, parts, arguments)


def _print(queue: str, parts: dict[str, Any], arguments: Any) -> None:
    """Prints a line for each part, for people."""
    print(f"{'task':<10} {arguments.id}")
    print(f"{'queue':<10} {one_line(queue)}")
    for name, value in parts.items():
        if value is None:
            continue
        if name == "why":
            value = "; ".join(each["text"] for each in value)
        if name == "due":
            left = value - time.time()
            value = f"in {age(left)}" if left > 0 else "now"
        text = value if isinstance(value, str) else json.dumps(value)
        text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
        print(f"{name.replace('_', ' '):<10} {one_line(text)}")


def _parts(client: RedisClient, queue: str, task: LocatedTask) -> Iterator[tuple[str, Any]]:
    from fluxqueue_core import parse_message
    from fluxqueue_core.errors import MalformedMessage

    from fluxqueue_control import dead, why, workers
    from fluxqueue_control.shown_json import read_arguments

    yield "state", task.state
    yield "ahead", task.ahead
    yield "due", task.due
    if task.consumer is not None:
        worker = workers.show(client, queue, task.consumer)
        yield "worker", dict(worker.identity) if worker is not None else {}
        yield "lease", None if worker is None else worker.state
    obstacles = why.explain(client, queue, task)
    if any(each.cause == "paused" for each in obstacles):
        yield "paused", True
    yield "why", [{"cause": each.cause, "text": each.text} for each in obstacles]
    try:
        message = parse_message(task.message)
    except MalformedMessage as error:
        yield "unreadable", str(error)
    else:
        yield "name", message["name"]
        yield "failures", message["retries"]
        yield "workers_lost", message["deliveries"]
        for option in ("priority", "expires", "condemned"):
            if message[option]:
                yield option, message[option]
        given = read_arguments(message)
        if given is None:
            yield "unreadable", "its arguments have too many levels or digits to show"
        else:
            yield "args", given[0]
            if message["kwargs"] is not None:
                yield "kwargs", given[1]
    if task.entry is not None and (found := dead.show(client, queue, task.entry)) is not None:
        yield "died_at", found.died_at
        yield "reason", found.reason
        yield "error", found.error
        yield "traceback", found.traceback
