"""The record of a job in Redis: a hash that expires, which any process can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from .candidates import Part
from .errors import checked
from .redis_client import RedisClient, Reply
from .selection import Selection

Verb: TypeAlias = Literal["replay", "delete", "cancel", "move"]
JobState: TypeAlias = Literal["running", "stopping", "stopped", "done"]

# How long a job is remembered after its last step (ms): a day.
KEPT = 86_400_000
# Jobs of a queue that are listed, at most.
_LISTED = 1_000
# How many queues one round trip asks for.
_QUEUES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Job:
    """A change of all tasks of one part that are chosen.

    Attributes:
        id: its id in the queue.
        verb: what happens to the tasks.
        part: where they are.
        selection: which tasks.
        target: the queue to which they move; empty for another verb.
        rate: tasks per second, at most; None without a bound.
        limit: how many are changed, at most; None without a bound.
        keep_expiry: whether a replayed task keeps its expiry.
        dry_run: whether nothing is changed: the tasks are counted only.
        who: the actor that has started it.
        state: a job whose process was killed is still `running`; see `updated`.
        started: seconds since 1970, by the clock of Redis.
        updated: when it last wrote its progress.
        seen: tasks that it has looked at.
        outcome: how many have which answer, such as `{"done": 3, "absent": 1}`; of a dry run
            how many were `chosen`.
        cursor: where it goes on; None: at the beginning.
        owner: the process that runs it, in words.
    """

    id: str
    verb: Verb
    part: Part
    selection: Selection
    target: str
    rate: float | None
    limit: int | None
    keep_expiry: bool
    dry_run: bool
    who: str
    state: JobState
    started: float
    updated: float
    seen: int
    outcome: Mapping[str, int]
    cursor: str | None
    owner: str


def create(client: RedisClient, queue: str, job_id: str, parts: Mapping[str, Any]) -> None:
    """Writes a new record, and forgets the oldest jobs.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    now = _now(client)
    jobs = client.key("jobs", queue)
    checked(
        client.commands(
            [
                *_writes(client, queue, job_id, {**parts, "started": now, "updated": now}),
                ("ZADD", jobs, now, job_id),
                ("ZREMRANGEBYSCORE", jobs, "-inf", now - 30 * KEPT),
                ("ZREMRANGEBYRANK", jobs, 0, -_LISTED - 1),
            ]
        )
    )


def save(client: RedisClient, queue: str, job_id: str, parts: Mapping[str, Any]) -> None:
    """Writes parts of a record, and the time. Raises as `create`."""
    checked(client.commands(_writes(client, queue, job_id, {**parts, "updated": _now(client)})))


def show(client: RedisClient, queue: str, job_id: str) -> Job | None:
    """Reads a job; None if there is none, or if it is forgotten. Raises as `create`."""
    return _read(job_id, client.command("HGETALL", client.key("job", queue, job_id)))


def read_last(client: RedisClient, queue: str, limit: int = 100) -> Sequence[Job]:
    """Reads the last jobs, the newest first. Raises as `create`."""
    return read_last_of(client, [queue], limit)[queue]


def read_last_of(
    client: RedisClient, queues: Sequence[str], limit: int = 100
) -> dict[str, Sequence[Job]]:
    """Reads the last jobs of queues on the client's server, of each the newest first. Takes two
    round trips for each 100 queues. Raises as `create`."""
    found: dict[str, Sequence[Job]] = {}
    for start in range(0, len(queues), _QUEUES_AT_ONCE):
        found |= _read_last(client, queues[start : start + _QUEUES_AT_ONCE], max(limit, 1))
    return found


def _read_last(client: RedisClient, queues: Sequence[str], limit: int) -> dict[str, Sequence[Job]]:
    ids = checked(
        client.commands([("ZREVRANGE", client.key("jobs", q), 0, limit - 1) for q in queues])
    )
    names = [
        (queue, each.decode(errors="replace"))
        for queue, some in zip(queues, ids, strict=True)
        for each in some
    ]
    records = checked(client.commands([("HGETALL", client.key("job", *name)) for name in names]))
    found: dict[str, list[Job]] = {queue: [] for queue in queues}
    for (queue, name), record in zip(names, records, strict=True):
        if (job := _read(name, record)) is not None:
            found[queue].append(job)
    return dict(found)


def _writes(
    client: RedisClient, queue: str, job_id: str, parts: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    key = client.key("job", queue, job_id)
    flat = [word for pair in parts.items() for word in pair]
    return [("HSET", key, *flat), ("PEXPIRE", key, KEPT)]


def _now(client: RedisClient) -> int:
    seconds, micros = client.command("TIME")
    return int(seconds) * 1_000 + int(micros) // 1_000


def _read(job_id: str, record: Reply) -> Job | None:
    """Reads a record; None if there is none, or if another program has written it."""
    if not isinstance(record, dict):
        record = dict(zip(record[::2], record[1::2], strict=True))
    text = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in record.items()
    }
    try:
        verb, part, state = text["verb"], text["part"], text.get("state", "running")
        if verb not in get_args(Verb) or part not in get_args(Part):
            return None
        if state not in get_args(JobState):
            return None
        outcome = {
            name.removeprefix("outcome:"): int(value)
            for name, value in text.items()
            if name.startswith("outcome:")
        }
        return Job(
            id=job_id,
            verb=verb,
            part=part,
            selection=Selection.parse(text["selection"]),
            target=text.get("target", ""),
            rate=float(text["rate"]) if text.get("rate") else None,
            limit=int(text["limit"]) if text.get("limit") else None,
            keep_expiry=text.get("keep_expiry", "1") == "1",
            dry_run=text.get("dry_run") == "1",
            who=text.get("who", ""),
            state=state,
            started=int(text["started"]) / 1_000,
            updated=int(text["updated"]) / 1_000,
            # A step counts its answers at once, and what was seen afterwards.
            seen=max(int(text.get("seen", 0)), sum(outcome.values())),
            outcome=outcome,
            cursor=text.get("cursor") or None,
            owner=text.get("owner", ""),
        )
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
