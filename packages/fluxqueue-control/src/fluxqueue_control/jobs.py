"""Jobs: replay, delete, cancel or move all tasks of one part that a selection chooses.

A job runs in the process that calls `run`, page by page, at a rate. Its progress is in Redis, where
other processes see it and can stop it. If its process is killed, another one resumes it: each task
is changed in one step that does nothing the second time, so nothing is doubled.

Why: docs/decisions/0186-a-job-runs-in-the-process-that-starts-it.md
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import redis
from fluxqueue_core import new_task_id
from fluxqueue_core.errors import ConfigurationError

from . import dead, job_record, job_steps, moving
from .actor import actor
from .candidates import Candidate, CandidatePage, Part, read_page
from .errors import UNAVAILABLE
from .job_record import Job, Verb, read_last, read_last_of, show
from .noting import note
from .redis_client import Audit, RedisClient
from .selection import Selection

__all__ = [
    "Job",
    "JobIsRunning",
    "Selection",
    "read_last",
    "read_last_of",
    "resume",
    "run",
    "show",
    "start",
    "stop",
]

VERBS: dict[Verb, tuple[Part, ...]] = {
    "replay": ("dead", "delayed"),
    "delete": ("dead", "delayed", "waiting"),
    "cancel": ("delayed", "waiting", "running"),
    "move": ("dead", "delayed", "waiting"),
}
# Tasks that one call changes, at most: about two milliseconds of Redis.
_BATCH = 60
# Seconds without progress after which a job counts as abandoned. One with a rate writes before.
ABANDONED = 15.0
# Ids of delayed tasks that a job remembers, so that it does not run one again that fails meanwhile.
_MOST_REMEMBERED = 1_000_000


class JobIsRunning(RuntimeError):
    """Another process runs the job."""


def start(
    client: RedisClient,
    queue: str,
    verb: Verb,
    part: Part,
    selection: Selection | None = None,
    *,
    target: str = "",
    rate: float | None = None,
    limit: int | None = None,
    keep_expiry: bool = True,
    dry_run: bool = False,
) -> Job:
    """Writes down a job, which `run` then performs. It is forgotten a day after its last step.

    Args:
        verb: `replay`: dead tasks are enqueued again, delayed ones run now; `delete`: they are
            removed, and end as `cancelled` if they wait; `cancel`: the same for tasks that wait,
            and a worker ends those that run; `move`: they go to the queue `target`.
        rate: tasks per second, at most.
        limit: how many tasks to change, at most.
        keep_expiry: False: a dead task that is replayed gets no expiry.
        dry_run: count the tasks, change none.

    Raises:
        ConfigurationError: a queue's name is not valid, the verb does not go with the part, or
            the selection asks for the reason of tasks that are not dead.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    chosen = selection or Selection()
    if part not in VERBS.get(verb, ()):
        known = ", ".join(VERBS.get(verb, ())) or "nothing"
        raise ConfigurationError(f"{verb!r} does not go with {part!r} tasks, but with: {known}")
    if chosen.is_of_dead and part != "dead":
        raise ConfigurationError(
            f"{part!r} tasks have no reason, exception, error or group; only dead ones do"
        )
    if verb == "move":
        moving.check_target(client, queue, target)
    job_id = new_task_id()
    parts: dict[str, Any] = {
        "verb": verb,
        "part": part,
        "selection": chosen.record(),
        "target": target,
        "rate": "" if rate is None else repr(rate),
        "limit": "" if limit is None else limit,
        "keep_expiry": int(keep_expiry),
        "dry_run": int(dry_run),
        "who": actor(),
        "state": "running",
    }
    job_record.create(client, queue, job_id, parts)
    job = show(client, queue, job_id)
    assert job is not None
    return job


def stop(client: RedisClient, queue: str, job_id: str) -> bool:
    """Stops a job after its present call; returns whether it ran. `resume` lets it go on. Raises
    as `start`."""
    job = show(client, queue, job_id)
    if job is None or job.state != "running":
        return False
    # If its process was killed, nothing else writes that it has stopped.
    state = "stopped" if _is_abandoned(client, job) else "stopping"
    job_record.save(client, queue, job_id, {"state": state})
    note(client, queue, Audit("job stop", job_id), {"stopped": 1})
    return True


def resume(client: Callable[[], RedisClient], queue: str, job_id: str) -> Iterator[Job]:
    """Goes on with a job that was stopped, or whose process was killed; yields as `run`.

    Raises:
        LookupError: there is no such job, or it is done.
        JobIsRunning: its process has written progress in the last 15 seconds.
        ConfigurationError, ResponseError, UNAVAILABLE: as `start`.
    """
    job = show(client(), queue, job_id)
    if job is None or job.state == "done":
        raise LookupError(
            f"queue {queue!r} has no job {job_id!r} to resume; it is done, or forgotten"
        )
    if job.state in ("running", "stopping") and job.owner and not _is_abandoned(client(), job):
        raise JobIsRunning(
            f"job {job_id!r} is run by {job.owner}; stop it first, or if that process has died, "
            f"resume it {ABANDONED:.0f} s after its last progress"
        )
    yield from run(client, queue, job)


def run(client: Callable[[], RedisClient], queue: str, job: Job) -> Iterator[Job]:
    """Performs a job; yields it after each call with its progress.

    It can be ended at any moment. It sees no task that dies after it has begun.

    Args:
        client: returns the client for the next call: in a cluster, of the master that has the
            queue then.

    Raises:
        JobIsRunning: another process has taken it over.
        ConfigurationError, ResponseError, UNAVAILABLE: as `start`; the job can be resumed.
    """
    runner = _Run(client, queue, job)
    audit = Audit(f"{job.verb} job", f"{job.id}: {_text(job)}")
    if not job.dry_run:
        note(client(), queue, audit, {"begun": 1})
    runner.save(state="running", owner=runner.owner)
    try:
        yield from runner.steps()
    except JobIsRunning:
        raise
    except BaseException:
        # Otherwise it would count as running for a while.
        with suppress(redis.RedisError, *UNAVAILABLE):
            runner.save(state="stopped")
        raise
    if not job.dry_run:
        end = {"ended": 1} if runner.job.state == "done" else {"stopped": 1}
        note(client(), queue, audit, {**runner.outcome, **end})
    yield runner.job


@dataclass
class _Run:
    client: Callable[[], RedisClient]
    queue: str
    job: Job
    owner: str = field(init=False)
    outcome: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_task_id()[-6:]}"
        self.outcome = Counter(self.job.outcome)
        self._remembered: set[bytes] = set()
        self._began, self._paced = time.monotonic(), 0

    def save(self, **parts: Any) -> None:
        """Writes the progress."""
        counts = {f"outcome:{word}": count for word, count in self.outcome.items()}
        job_record.save(
            self.client(), self.queue, self.job.id, {"seen": self.job.seen, **counts, **parts}
        )
        self.job = replace(
            self.job,
            outcome=dict(self.outcome),
            **{name: value for name, value in parts.items() if name in ("state", "owner")},
        )

    def steps(self) -> Iterator[Job]:
        """Looks at page after page; yields after each call."""
        cursor = self.job.cursor
        while True:
            page = read_page(
                self.client(), self.queue, self.job.part, cursor, self.job.selection.group
            )
            before = self.outcome["done"]
            for _ in self._change(page):
                yield self.job
                if self._must_stop():
                    # The page is read again, without the tasks that are done.
                    self.save(state="stopped")
                    return
            self.job = replace(self.job, seen=self.job.seen + len(page.candidates))
            removes = not self.job.dry_run and self.job.part != "running"
            cursor = page.after(self.outcome["done"] - before if removes else 0)
            is_over = cursor is None or self._left() == 0
            # Not "running": another process may have asked for the end.
            self.save(cursor=cursor or "", **({"state": "done"} if is_over else {}))
            if is_over:
                return
            yield self.job
            if self._must_stop():
                self.save(state="stopped")
                return

    def _change(self, page: CandidatePage) -> Iterator[None]:
        chosen = [each for each in page.candidates if self._wants(each)]
        if (left := self._left()) is not None:
            chosen = chosen[:left]
        if self.job.dry_run:
            self.outcome["chosen"] += len(chosen)
            return
        # A tenth of a second's worth at once: workers get them evenly.
        most = _BATCH
        if self.job.rate is not None:
            most = max(1, min(_BATCH, int(self.job.rate / 10)))
        for batch in job_steps.batches(chosen, most):
            yield from self._wait()
            self.outcome.update(job_steps.apply(self.client(), self.queue, self.job, batch))
            self._paced += len(batch)
            self.save()
            yield

    def _wait(self) -> Iterator[None]:
        """Waits for the rate; yields every few seconds, so that the job can be stopped."""
        while self.job.rate is not None:
            left = self._began + self._paced / self.job.rate - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 1.0))
            if left > 1.0:
                self.save()
                yield

    def _wants(self, candidate: Candidate) -> bool:
        message, task = candidate.message, candidate.dead
        if task is not None and not task.is_whole and self.job.selection != Selection():
            # Only one at a time is here whole.
            task = dead.read_whole(self.client(), self.queue, task)
            if task is None:
                return False
            message = task.message
        if not self.job.selection.wants(message, self.job.started, task):
            return False
        if self.job.part != "delayed" or message is None:
            return True
        if message[13:49] in self._remembered:
            return False
        if len(self._remembered) < _MOST_REMEMBERED:
            self._remembered.add(message[13:49])
        return True

    def _left(self) -> int | None:
        if self.job.limit is None:
            return None
        changed = sum(self.outcome[word] for word in ("done", "requested", "chosen"))
        return max(self.job.limit - changed, 0)

    def _must_stop(self) -> bool:
        now = show(self.client(), self.queue, self.job.id)
        if now is not None and now.owner != self.owner:
            raise JobIsRunning(f"job {self.job.id!r} is run by {now.owner} now")
        return now is None or now.state == "stopping"


def _is_abandoned(client: RedisClient, job: Job) -> bool:
    seconds, micros = client.command("TIME")
    return int(seconds) + int(micros) / 1e6 - job.updated > ABANDONED


def _text(job: Job) -> str:
    # Not the value of an argument or a header: who may read the audit may not be allowed to see it.
    words = [f"{job.part} tasks"]
    words += [
        f"{name} {value}"
        for name in ("id", "task", "reason", "exception", "group", "argument", "older", "younger")
        if (value := getattr(job.selection, name)) is not None
    ]
    words += [f"header {name}" for name in job.selection.headers]
    words += [f"to {job.target}"] if job.target else []
    words += [f"{job.limit} at most"] if job.limit is not None else []
    return ", ".join(words)
