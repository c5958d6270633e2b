"""Enqueues dead tasks again, and removes them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from fluxqueue_core.service.command_line import one_line

from .answers import DONE, SOME_NOT, print_json, say
from .dead_views import chosen, is_narrowed, named, not_there, task_id, wanted
from .progress_bar import ProgressBar

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
    with _bar(servers, arguments, "requeued") as bar:
        for count, one in enumerate(_replayed(servers, arguments, missing), 1):
            refused += one.verdict != "requeued"
            if arguments.json:
                answer = {"task_id": task_id(one.task), "queue": arguments.queue}
                print_json({**answer, "answer": one.verdict, "holder": one.holder})
            else:
                print(one_line(f"{task_id(one.task)} {_answer(one)}"), flush=True)
            bar.update(count - refused)
    return _code(prog, arguments, missing, refused)


def delete(prog: str, servers: Servers, arguments: Any) -> int:
    """Removes dead tasks, and prints their ids; returns the exit code."""
    from fluxqueue_control.deleting import delete_dead
    from fluxqueue_control.pacing import keep_rate

    if arguments.dry_run:
        return _dry_run(prog, servers, arguments)
    queue, missing, refused = arguments.queue, list[str](), 0
    rate = arguments.rate
    size = _BATCH if rate is None else max(1, min(_BATCH, int(rate / 10)))
    began, count = time.monotonic(), 0
    tasks = islice(_tasks(servers, arguments, missing), arguments.limit)
    with _bar(servers, arguments, "deleted") as bar:
        for some in _batches(tasks, size):
            keep_rate(began, count, rate)
            count += len(some)
            deaths = [(task.entry, task.died_at * 1_000) for task in some]
            gone = delete_dead(servers.of_queue(queue), queue, deaths)
            for task, is_gone in zip(some, gone, strict=True):
                refused += not is_gone
                answer = "deleted" if is_gone else "absent"
                if arguments.json:
                    print_json({"task_id": task_id(task), "queue": queue, "answer": answer})
                else:
                    print(one_line(f"{task_id(task)} {answer}"), flush=True)
            bar.update(count - refused)
    return _code(prog, arguments, missing, refused)


def _bar(servers: Servers, arguments: Any, verb: str) -> ProgressBar:
    """The progress of a change. The terminal has the answers, unless these go elsewhere."""
    from fluxqueue_control.queues import read_lengths

    is_shown = sys.stderr.isatty() and not sys.stdout.isatty()
    total = None
    if is_shown and arguments.all and not is_narrowed(arguments):
        queue = arguments.queue
        total = read_lengths(servers.of_queue(queue), [queue])[queue].dead
    if total is not None and arguments.limit is not None:
        total = min(total, arguments.limit)
    return ProgressBar(total, verb, is_shown=is_shown)


def _replayed(servers: Servers, arguments: Any, missing: list[str]) -> Iterator[Requeued]:
    from fluxqueue_control import requeue

    queue, keeps = arguments.queue, not arguments.drop_expiry
    client, rate, limit = partial(servers.of_queue, queue), arguments.rate, arguments.limit
    if arguments.ids:
        tasks = _tasks(servers, arguments, missing)
        return requeue.replay_each(client, queue, tasks, rate=rate, limit=limit, keep_expiry=keeps)
    return requeue.replay(
        client,
        queue,
        wanted=wanted(arguments),
        rate=rate,
        limit=limit,
        keep_expiry=keeps,
        group=arguments.group,
    )


def _answer(one: Requeued) -> str:
    if one.verdict == "held":
        return f"held: task {one.holder} has its lock"
    why = _WHY.get(one.verdict)
    return one.verdict if why is None else f"{one.verdict}: {why}"


def _dry_run(prog: str, servers: Servers, arguments: Any) -> int:
    missing: list[str] = []
    for task in islice(_tasks(servers, arguments, missing), arguments.limit):
        if arguments.json:
            print_json({"task_id": task_id(task), "queue": arguments.queue, "answer": "dry_run"})
        else:
            print(one_line(task_id(task)))
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


def _batches(tasks: Iterator[DeadTask], size: int) -> Iterator[list[DeadTask]]:
    some: list[DeadTask] = []
    for task in tasks:
        some.append(task)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _code(prog: str, arguments: Any, missing: list[str], refused: int) -> int:
    for given in missing:
        say(prog, not_there(given, arguments.queue))
    return SOME_NOT if missing or refused else DONE
