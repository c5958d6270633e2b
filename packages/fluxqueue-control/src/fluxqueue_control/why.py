"""Why a task does not run: the queue is paused, its limit is full, its time has not come, no worker
serves its queue or knows its name, a strike stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fluxqueue_core import parse_message
from fluxqueue_core.errors import MalformedMessage

from . import dead, limits, pausing, strikes, workers
from .redis_client import RedisClient
from .shown_json import read_arguments
from .tasks import LocatedTask

Cause: TypeAlias = Literal[
    "running",
    "lost",
    "dead",
    "condemned",
    "paused",
    "struck",
    "delayed",
    "overdue",
    "unknown_name",
    "limited",
    "suspect",
    "unserved",
    "busy",
    "next",
]

# Workers that are looked at, at most.
_MOST_WORKERS = 1_000
# Seconds after which a due task should have been moved, and a queue swept.
_LATE = 5.0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One cause why a task does not run, or `running` or `next` if there is none.

    Attributes:
        cause: in one word.
        text: in a sentence, for people.
    """

    cause: Cause
    text: str


def explain(client: RedisClient, queue: str, task: LocatedTask) -> Sequence[Obstacle]:
    """Returns all causes why a task that was found does not run, the first ones first.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if task.state == "dead":
        return [_of_dead(client, queue, task)]
    if task.state == "claimed":
        return [_of_claimed(client, queue, task)]
    found = list(_of_waiting(client, queue, task))
    return found or [Obstacle("next", "nothing holds it: the next free slot takes it")]


def _of_dead(client: RedisClient, queue: str, task: LocatedTask) -> Obstacle:
    found = dead.show(client, queue, task.entry) if task.entry is not None else None
    why = "" if found is None else f" ({found.reason})"
    return Obstacle("dead", f"it is dead{why}: replay it to run it again")


def _of_claimed(client: RedisClient, queue: str, task: LocatedTask) -> Obstacle:
    worker = workers.show(client, queue, task.consumer or "")
    if worker is None or worker.state == "tombstone":
        return Obstacle("lost", "its worker is gone: a scheduler returns it to its list")
    if worker.state == "late":
        ago = -worker.lease_left
        return Obstacle(
            "lost", f"the lease of its worker ended {ago:.1f} s ago: a scheduler rescues it soon"
        )
    where = ":".join(str(worker.identity.get(part, "?")) for part in ("host", "pid"))
    return Obstacle("running", f"worker {where} has it, and runs it or will soon")


def _of_waiting(client: RedisClient, queue: str, task: LocatedTask) -> Iterator[Obstacle]:
    seconds, micros = client.command("TIME")
    now = int(seconds) + int(micros) / 1e6
    parts = _parts(task.message)
    if pausing.read_paused(client, [queue])[queue]:
        yield Obstacle("paused", "the queue is paused: resume it")
    if parts is not None and parts["condemned"]:
        yield Obstacle("condemned", f"it is {parts['condemned']}: a worker ends it without a run")
    if parts is not None:
        yield from _of_strikes(client, queue, parts)
    if task.due is not None:
        yield from _of_delay(task.due, now)
    if parts is not None and parts["unknown_since"] is not None:
        since = now - parts["unknown_since"] / 1_000
        yield Obstacle(
            "unknown_name",
            f"no worker has known the name {parts['name']!r} for {since:.0f} s: start one that "
            f"declares it",
        )
    if task.limit is not None:
        yield _of_limit(client, queue, task, now)
    if task.state == "suspects":
        yield Obstacle("suspect", "it has lost two workers, and waits to run alone")
    yield from _of_workers(client, queue, task)


def _of_strikes(client: RedisClient, queue: str, parts: dict[str, Any]) -> Iterator[Obstacle]:
    rules = [rule for rule in strikes.read_all(client, queue) if rule.task == parts["name"]]
    if not rules:
        return
    given = read_arguments(parts)
    if given is None:
        return
    for rule in rules:
        if rule.stops(parts["name"], *given):
            yield Obstacle("struck", f"strike {rule.id} stops it: a worker parks it as dead")


def _of_delay(due: float, now: float) -> Iterator[Obstacle]:
    if due > now:
        yield Obstacle("delayed", f"it is due in {due - now:.1f} s")
    elif now - due > _LATE:
        yield Obstacle(
            "overdue", f"it has been due for {now - due:.0f} s: no scheduler moves it to its list"
        )


def _of_limit(client: RedisClient, queue: str, task: LocatedTask, now: float) -> Obstacle:
    assert task.limit is not None
    key = limits.read_key(client, queue, task.limit)
    ahead = f"{task.ahead} tasks of its key are before it" if task.ahead else "it is the next"
    if key is None:
        return Obstacle("limited", f"it waits for its limit; {ahead}")
    name = "its limit" if key.name is None else f"its limit {key.name!r}"
    taken = key.running + key.ready
    if key.rules is not None and key.rules.most and taken >= key.rules.most:
        places = f"{taken} of {key.rules.most} places taken"
        return Obstacle("limited", f"{name} has {places}; {ahead}")
    at = client.command("ZSCORE", client.key("limits", queue), task.limit)
    wait = "" if at is None else f" in {max(float(at) / 1_000 - now, 0):.1f} s"
    return Obstacle("limited", f"{name} lets the next one begin{wait}; {ahead}")


def _of_workers(client: RedisClient, queue: str, task: LocatedTask) -> Iterator[Obstacle]:
    alive = slots = claimed = 0
    for worker in workers.scan(client, queue):
        if worker.state != "alive":
            continue
        alive += 1
        size = worker.identity.get("slots", 1)
        slots += size if isinstance(size, int) else 1
        claimed += worker.claimed
        if alive == _MOST_WORKERS:
            break
    if not alive:
        yield Obstacle("unserved", f"no worker serves queue {queue!r}: start one")
    elif task.state in ("pending", "prioritized", "suspects") and claimed >= slots:
        ahead = f"; {task.ahead} tasks are before it" if task.ahead else ""
        yield Obstacle("busy", f"all {slots} slots of {alive} workers are busy{ahead}")


def _parts(message: bytes) -> dict[str, Any] | None:
    try:
        return parse_message(message)
    except MalformedMessage:
        return None
