"""Prints dead tasks: in a list, and whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.command_line import one_line

from .answers import DONE, SOME_NOT, age, print_json, print_table, say
from .task_ids import GivenId

if TYPE_CHECKING:
    from fluxqueue_control.dead import DeadTask
    from fluxqueue_control.redis_client import RedisClient
    from fluxqueue_control.servers import Servers

# The length of a task's id, which begins the entry of a message that can be read.
_ID = 36


def list_(prog: str, servers: Servers, arguments: Any) -> int:
    """Prints some dead tasks, the newest first; returns the exit code."""
    tasks = list(chosen(lambda: servers.of_queue(arguments.queue), arguments))
    if arguments.json:
        for task in tasks:
            print_json(brief(task))
        return DONE
    now = time.time()
    rows = [
        (task_id(task), age(now - task.died_at), name(task), task.reason or None, task.error)
        for task in tasks
    ]
    print_table(("id", "died", "task", "reason", "error"), rows)
    return DONE


def show(prog: str, servers: Servers, arguments: Any) -> int:
    """Prints dead tasks whole; returns the exit code."""
    code = DONE
    for given in arguments.ids:
        tasks = list(named(servers.of_queue(arguments.queue), arguments.queue, given))
        if not tasks:
            say(prog, not_there(given, arguments.queue))
            code = SOME_NOT
        for task in tasks:
            if arguments.json:
                message = None if task.message is None else task.message.decode(errors="replace")
                print_json({**brief(task), "traceback": task.traceback, "message": message})
                continue
            for head, value in brief(task).items():
                print(f"{head:<10} {one_line(str(value))}")
            print(f"{'message':<10} {one_line((task.message or b'').decode(errors='replace'))}")
            if task.traceback:
                print("\n".join(one_line(line) if line.strip() else "" for line in
                                task.traceback.splitlines()))  # fmt: skip
    return code


def chosen(client: Callable[[], RedisClient], arguments: Any) -> Iterator[DeadTask]:
    """Yields the dead tasks that the options choose, the newest first, up to the limit."""
    from fluxqueue_control import dead

    wants, count, cursor = wanted(arguments), 0, None
    is_all = not is_narrowed(arguments)
    while arguments.limit is None or count < arguments.limit:
        page = dead.read_page(client(), arguments.queue, cursor, group=arguments.group)
        for task in page.tasks:
            if count == arguments.limit:
                return
            whole = task if is_all else dead.read_whole(client(), arguments.queue, task)
            if whole is None or not wants(whole):
                continue
            yield task
            count += 1
        cursor = page.cursor
        if cursor is None:
            return


def wanted(arguments: Any) -> Callable[[DeadTask], bool]:
    """Returns what chooses tasks by `--reason`, `--task`, `--id` and `--header`."""
    from fluxqueue_control.selection import Selection

    selection = Selection(
        arguments.task, arguments.reason, id=arguments.id, headers=dict(arguments.header)
    )
    # Their ages are not asked for.
    return lambda task: selection.wants(task.message, 0.0, task)


def is_narrowed(arguments: Any) -> bool:
    """Whether the options leave some tasks out, besides those of other groups."""
    wanted = (arguments.reason, arguments.task, arguments.id)
    return any(each is not None for each in wanted) or bool(arguments.header)


def named(client: RedisClient, queue: str, given: str) -> Iterator[DeadTask]:
    """Yields the dead tasks of this entry, of this id, or of this text as the `task_id`."""
    from fluxqueue_control import dead

    exact = dead.show(client, queue, given.encode())
    if exact is not None:
        yield exact
        return
    try:
        task_id = GivenId(given)
    except ConfigurationError:
        return  # it is too long to be the task_id of a call
    for entry in dead.entries_of(client, queue, task_id):
        task = dead.show(client, queue, entry)
        if task is not None:
            yield task


def not_there(given: str, queue: str) -> str:
    """Returns what to say of an id that names no dead task."""
    return (
        f"the dead set of queue {queue!r} does not have {given!r}: it was replayed or deleted, or "
        f"is in another queue (-q) or namespace"
    )


def task_id(task: DeadTask) -> str:
    """Returns the id of a dead task, or its entry if it has no id."""
    entry = task.entry.decode(errors="replace")
    return entry[:_ID] if entry[_ID : _ID + 1] in ('"', "#") else entry


def name(task: DeadTask) -> str | None:
    """Returns the name of a dead task; None if its message can't be read, or is too large for a
    page."""
    parts = task.parse()
    return None if parts is None else str(parts["name"])


def brief(task: DeadTask) -> dict[str, Any]:
    """Returns what a line of JSON says about a dead task."""
    from fluxqueue_control.shown_json import read_arguments

    parts = task.parse()
    given = None if parts is None else read_arguments(parts)
    return {
        "task_id": task_id(task),
        "entry": task.entry.decode(errors="replace"),
        "name": None if parts is None else parts["name"],
        "died_at": task.died_at,
        "reason": task.reason,
        "error": task.error,
        "bytes": task.size,
        "args": None if given is None else given[0],
    }
