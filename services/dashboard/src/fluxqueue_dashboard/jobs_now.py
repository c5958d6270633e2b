"""The last jobs of all queues, which all viewers of live pages share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fluxqueue_control.jobs import ABANDONED, Job, read_last_of
from fluxqueue_control.registry import read_names
from fluxqueue_control.servers import Servers

from .snapshot import MOST_QUEUES

# Jobs of each queue.
_MOST = 20


@dataclass(frozen=True, slots=True)
class JobNow:
    """A job at one moment.

    Attributes:
        state: that of its record; `abandoned` if it should run, but no process has written
            progress for a while.
    """

    queue: str
    job: Job
    state: str

    @property
    def changed(self) -> int:
        """Tasks that it has changed; in a dry run those that it would change."""
        return self.job.outcome.get("chosen" if self.job.dry_run else "done", 0)

    @property
    def looked(self) -> int:
        """Tasks that it has looked at. The record counts those of a page at its end only."""
        return max(self.job.seen, sum(self.job.outcome.values()))

    @property
    def left_alone(self) -> dict[str, int]:
        """Tasks that it could not change, by the reason."""
        rest = {word: n for word, n in self.job.outcome.items() if n}
        return {word: n for word, n in rest.items() if word not in ("done", "chosen")}

    @property
    def choice(self) -> Sequence[tuple[str, str]]:
        """The selection in words. Not the value of an argument or a header: a viewer may not be
        allowed to see it."""
        selection = self.job.selection
        words = [
            (name, str(value))
            for name in ("id", "task", "reason", "exception", "error", "group")
            if (value := getattr(selection, name)) is not None
        ]
        words += [
            (name, f"{value:g} s")
            for name in ("older", "younger")
            if (value := getattr(selection, name)) is not None
        ]
        words += [("header", name) for name in selection.headers]
        return words + ([("argument", selection.argument)] if selection.argument else [])


@dataclass(frozen=True, slots=True)
class JobsNow:
    """The last jobs of all queues at one moment, the newest first.

    Attributes:
        at: seconds since 1970.
        error: why Redis could not be asked; there are no jobs then.
    """

    at: float
    jobs: Sequence[JobNow] = ()
    error: str | None = None

    def job(self, queue: str, job_id: str) -> JobNow | None:
        """Returns a job by its queue and id."""
        return next((e for e in self.jobs if (e.queue, e.job.id) == (queue, job_id)), None)


def job_now(queue: str, job: Job) -> JobNow:
    """Returns a job with its state now. Clocks that differ do no harm: it is only a word."""
    is_silent = time.time() - job.updated > ABANDONED
    is_lost = job.state in ("running", "stopping") and is_silent
    return JobNow(queue, job, "abandoned" if is_lost else job.state)


def read_jobs_now(servers: Servers) -> JobsNow:
    """Reads the last jobs. Raises as `read_names` and `read_last_of` do."""
    names = read_names(servers.of_registry()).names[:MOST_QUEUES]
    found = [
        job_now(queue, job)
        for client, some in servers.of_queues(names)
        for queue, last in read_last_of(client, some, _MOST).items()
        for job in last
    ]
    return JobsNow(time.time(), sorted(found, key=lambda each: -each.job.started))
