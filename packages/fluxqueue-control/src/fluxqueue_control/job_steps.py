"""The changes that a job makes to some tasks at once."""

from __future__ import annotations

from collections.abc import Sequence

from . import cancelling, dead, deleting, moving, requeue
from .candidates import REACH, Candidate
from .dead import DeadTask
from .deleting import WaitingTask
from .job_record import Job
from .redis_client import RedisClient, ScriptCall

# Elements of lists that Redis compares in one call, about: a few milliseconds.
_MOST_COMPARED = REACH
# Bytes of messages in one call, about.
_MOST_BYTES = 262_144
# Where the id is in a message.
_ID = slice(13, 49)


def batches(candidates: Sequence[Candidate], most: int) -> list[Sequence[Candidate]]:
    """Divides tasks into batches of up to `most`, of which none keeps Redis busy for long."""
    found: list[list[Candidate]] = [[]]
    compared = size = 0
    for each in candidates:
        compared, size = compared + each.depth, size + each.size
        is_full = len(found[-1]) >= most or compared > _MOST_COMPARED or size > _MOST_BYTES
        if found[-1] and is_full:
            found.append([])
            compared, size = each.depth, each.size
        found[-1].append(each)
    return [batch for batch in found if batch]


def apply(client: RedisClient, queue: str, job: Job, batch: Sequence[Candidate]) -> list[str]:
    """Changes tasks; returns the answer for each: `done`, `requested` if the worker that claims it
    will end it, or why not. Raises as `jobs.run`."""
    if job.part == "dead":
        return _apply_to_dead(client, queue, job, [each.dead for each in batch if each.dead])
    if job.part == "running":
        cancelling.request(client, queue, [_id(each) for each in batch])
        return ["done"] * len(batch)
    near = [each.waiting for each in batch if each.waiting and each.depth <= REACH]
    answers = iter(_apply_to_waiting(client, queue, job, near))
    deep = "too_deep"
    if job.verb in ("delete", "cancel"):
        cancelling.request(client, queue, [_id(each) for each in batch if each.depth > REACH])
        deep = "requested"
    return [deep if each.depth > REACH else next(answers) for each in batch]


def _apply_to_dead(
    client: RedisClient, queue: str, job: Job, tasks: Sequence[DeadTask]
) -> list[str]:
    if job.verb == "replay":
        done = requeue.requeue(client, queue, tasks, keep_expiry=job.keep_expiry, is_audited=False)
        return ["done" if one.verdict == "requeued" else one.verdict for one in done]
    if job.verb == "move":
        whole = [dead.read_whole(client, queue, task) for task in tasks]
        there = [task for task in whole if task is not None]
        moved = iter(moving.move_dead(client, queue, job.target, there, is_audited=False))
        words = ["absent" if task is None else next(moved) for task in whole]
        return ["done" if one == "moved" else one for one in words]
    deaths = [(task.entry, task.died_at * 1_000) for task in tasks]
    return _words(deleting.delete_dead(client, queue, deaths, is_audited=False))


def _apply_to_waiting(
    client: RedisClient, queue: str, job: Job, tasks: Sequence[WaitingTask]
) -> list[str]:
    if not tasks:
        return []
    if job.verb == "replay":
        words = [word for task in tasks for word in ("", "", "", task.message, "")]
        replies = client.call(ScriptCall("requeue", queue, words))
        return _words([reply == 1 for reply in replies])
    if job.verb == "move":
        moved = moving.move_waiting(client, queue, job.target, tasks, is_audited=False)
        return ["done" if one == "moved" else one for one in moved]
    return _words(deleting.delete_waiting(client, queue, tasks, is_audited=False))


def _words(done: Sequence[bool]) -> list[str]:
    return ["done" if each else "absent" for each in done]


def _id(candidate: Candidate) -> str:
    return (candidate.message or b"")[_ID].decode(errors="replace")
