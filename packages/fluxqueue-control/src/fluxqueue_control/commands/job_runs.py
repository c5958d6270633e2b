"""Starts jobs from a command line, shows their progress, and prints them."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fluxqueue_core.service.command_line import one_line

from .answers import DONE, SOME_NOT, print_json, say
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxqueue_control.jobs import Job
    from fluxqueue_control.selection import Selection
    from fluxqueue_control.servers import Servers

# Seconds between two lines of progress that are not for a terminal.
_EVERY = 5.0
# Answers for tasks that are changed, that a worker will change, or that a dry run has counted.
_GOOD = frozenset({"done", "requested", "chosen"})


def perform(
    prog: str,
    servers: Servers,
    arguments: Any,
    what: tuple[Any, Any],
    selection: Selection,
    **options: Any,
) -> Job:
    """Starts a job and performs it to its end; returns how it has ended.

    Args:
        what: the verb, and the part of the queue.
        options: those of `jobs.start` that the arguments of all commands do not have.

    Raises:
        ConfigurationError: as `jobs.start`.
    """
    from fluxqueue_control import jobs

    queue = arguments.queue
    job = jobs.start(
        servers.of_queue(queue),
        queue,
        *what,
        selection,
        rate=arguments.rate,
        dry_run=arguments.dry_run,
        **options,
    )
    say(prog, f"job {job.id}")
    return watch(servers, job, jobs.run(lambda: servers.of_queue(queue), queue, job), arguments)


def watch(servers: Servers, job: Job | None, steps: Iterator[Job], arguments: Any) -> Job:
    """Performs the steps of a job, and prints its end. A terminal has a bar, a log a line every few
    seconds."""
    told, is_terminal = time.monotonic(), sys.stderr.isatty()
    total, already = None, 0
    if job is not None and is_terminal:
        total, already = _total(servers, arguments.queue, job), _looked(job)
    with ProgressBar(total, "looked at", is_shown=is_terminal, already=already) as bar:
        for job in steps:
            bar.update(_looked(job))
            if not is_terminal and time.monotonic() - told > _EVERY:
                told = time.monotonic()
                print(one_line(progress(job)), file=sys.stderr, flush=True)
    assert job is not None
    if arguments.json:
        print_json(as_json(job, arguments.queue))
    else:
        print(one_line(f"{job.state}: {progress(job)}"), flush=True)
    return job


def code_of(job: Job) -> int:
    """Returns the exit code of a command that has performed a job."""
    return DONE if job.state == "done" and job.outcome.keys() <= _GOOD else SOME_NOT


def changed(job: Job) -> int:
    """Returns how many tasks count for a limit."""
    return sum(job.outcome.get(word, 0) for word in _GOOD)


def progress(job: Job) -> str:
    """Returns the progress of a job in words."""
    counts = ", ".join(f"{number} {word}" for word, number in job.outcome.items() if number)
    return f"{job.seen} seen, {counts or 'none changed'}"


def as_json(job: Job, queue: str) -> dict[str, Any]:
    """Returns what a line of JSON says about a job."""
    return {"queue": queue, **asdict(job), "selection": job.selection.parts()}


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
