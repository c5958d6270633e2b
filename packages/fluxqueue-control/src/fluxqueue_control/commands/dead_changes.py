"""Enqueues dead tasks again, and removes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .answers import DONE, SOME_NOT, print_json, say
from .dead_views import chosen, named, not_there, task_id, wanted

if TYPE_CHECKING:
    from fluxqueue_control.dead import DeadTask
    from fluxqueue_control.requeue import Requeued
    from fluxqueue_control.servers import Servers

# Dead tasks that one call removes.
_BATCH = 100
_WHY = {
    "absent": "it was replayed or deleted meanwhile, or has died again",
    "expired": "its expiry has passed; --drop-expiry replays it without one",
    "duplicate": "a task with its id was in the queue when it was parked; delete it",
    "unreadable": "its message is missing or malformed",
}


def replay(prog: str, servers: Servers, arguments: Any) -> int:
    """Enqueues dead tasks again, and prints the answer for each; returns the exit
    code."""
    if arguments.dry_run:
        return _dry_run(prog, servers, arguments)
    missing: list[str] = []
    refused = 0
    for one in _replayed(servers, arguments, missing):
        refused += one.verdict != "requeued"
        if arguments.json:
            answer = {"task_id": task_id(one.task), "queue": arguments.queue}
            print_json({**answer, "answer": one.verdict, "holder": one.holder})
        else:
            print(f"{task_id(one.task)} {_answer(one)}", flush=True)
    return _code(prog, arguments, missing, refused)


def delete(prog: str, servers: Servers, arguments: Any) -> int:
    """Removes dead tasks, and prints their ids; returns the exit code."""
    from fluxqueue_control.deleting import delete_dead

    if arguments.dry_run:
        return _dry_run(prog, servers, arguments)
    queue, missing, refused = arguments.queue, list[str](), 0
    for some in _batches(_tasks(servers, arguments, missing)):
        deaths = [(task.entry, task.died_at * 1_000) for task in some]
        gone = delete_dead(servers.of_queue(queue), queue, deaths)
        for task, is_gone in zip(some, gone, strict=True):
            refused += not is_gone
            answer = "deleted" if is_gone else "absent"
            if arguments.json:
                print_json({"task_id": task_id(task), "queue": queue, "answer": answer})
            else:
                print(f"{task_id(task)} {answer}", flush=True)
    return _code(prog, arguments, missing, refused)


def _replayed(servers: Servers, arguments: Any, missing: list[str]) -> Iterator[Requeued]:
    from fluxqueue_control import requeue

    queue, keeps = arguments.queue, not arguments.drop_expiry
    if arguments.ids:
        tasks = list(_tasks(servers, arguments, missing))
        yield from requeue.requeue(servers.of_queue(queue), queue, tasks, keep_expiry=keeps)
        return
    yield from requeue.replay(
        lambda: servers.of_queue(queue),
        queue,
        wanted=wanted(arguments),
        rate=arguments.rate,
        limit=arguments.limit,
        keep_expiry=keeps,
    )


def _answer(one: Requeued) -> str:
    if one.verdict == "held":
        return f"held: task {one.holder} has its lock"
    why = _WHY.get(one.verdict)
    return one.verdict if why is None else f"{one.verdict}: {why}"


def _dry_run(prog: str, servers: Servers, arguments: Any) -> int:
    missing: list[str] = []
    for task in _tasks(servers, arguments, missing):
        if arguments.json:
            print_json({"task_id": task_id(task), "queue": arguments.queue, "answer": "dry_run"})
        else:
            print(task_id(task))
    return _code(prog, arguments, missing, 0)


def _tasks(servers: Servers, arguments: Any, missing: list[str]) -> Iterator[DeadTask]:
    """Yields the tasks that the command line means. Notes the ids that the dead set lacks."""
    queue = arguments.queue
    if not arguments.ids:
        yield from chosen(lambda: servers.of_queue(queue), arguments)
        return
    for given in arguments.ids:
        found = list(named(servers.of_queue(queue), queue, given))
        if not found:
            missing.append(given)
        yield from filter(wanted(arguments), found)


def _batches(tasks: Iterator[DeadTask]) -> Iterator[list[DeadTask]]:
    some: list[DeadTask] = []
    for task in tasks:
        some.append(task)
        if len(some) == _BATCH:
            yield some
            some = []
    if some:
        yield some


def _code(prog: str, arguments: Any, missing: list[str], refused: int) -> int:
    for given in missing:
        say(prog, not_there(given, arguments.queue))
    return SOME_NOT if missing or refused else DONE
