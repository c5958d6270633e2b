"""Messages made by hand, as docs/protocol.md describes them: a test can give
them counts that no producer would."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from fluxqueue_core import key, parse_message

if TYPE_CHECKING:
    from redis import Redis


def new_id() -> str:
    """A UUIDv7 of this moment."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def message(
    name: str,
    *args: Any,
    kwargs: dict[str, Any] | None = None,
    retries: int = 0,
    deliveries: int = 0,
    max_retries: int | None = None,
    timeout: float | None = None,
) -> bytes:
    """One message, its members in the order of the protocol."""
    members: dict[str, Any] = {"v": 1, "id": new_id()}
    if deliveries:
        members["deliveries"] = deliveries
    if retries:
        members["retries"] = retries
    members |= {"name": name, "args": list(args)}
    if kwargs:
        members["kwargs"] = kwargs
    if max_retries is not None:
        members["max_retries"] = max_retries
    if timeout is not None:
        members["timeout"] = timeout
    return json.dumps(members, separators=(",", ":")).encode()


def push(redis: Redis, name: str, *args: Any, queue: str = "default", **options: Any) -> str:
    """Puts a message where a producer or the rescue would; returns the task's id.

    Args:
        options: those of `message`.
    """
    raw = message(name, *args, **options)
    home = "suspects" if options.get("deliveries", 0) >= 2 else "pending"
    redis.lpush(key(home, queue), raw)
    task_id = parse_message(raw)["task_id"]
    assert isinstance(task_id, str)
    return task_id


def pending(redis: Redis, queue: str = "default") -> list[dict[str, Any]]:
    """The parts of the messages that wait, the next one last."""
    waiting: Any = redis.lrange(key("pending", queue), 0, -1)
    return [parse_message(raw) for raw in waiting]


def delayed(redis: Redis, queue: str = "default") -> list[tuple[dict[str, Any], float]]:
    """The parts of the delayed messages with their due times, in ms."""
    found: Any = redis.zrange(key("delayed", queue), 0, -1, withscores=True)
    return [(parse_message(raw), score) for raw, score in found]


def promote_all(redis: Redis, queue: str = "default") -> None:
    """Moves what is delayed to where it waits, whatever its time."""
    waiting: Any = redis.zrange(key("delayed", queue), 0, -1)
    for raw in waiting:
        redis.zrem(key("delayed", queue), raw)
        redis.lpush(key("pending", queue), raw)


def dead(redis: Redis, queue: str = "default") -> dict[str, dict[str, Any]]:
    """Per id of a dead task, why it is dead: `reason`, `error`, `traceback`."""
    with redis.pipeline(transaction=True) as both:
        both.hgetall(key("dead:reasons", queue))
        both.hgetall(key("dead:messages", queue))
        reasons, messages = both.execute()
    assert reasons.keys() == messages.keys()
    return {
        parse_message(messages[field])["task_id"]: json.loads(reason)
        for field, reason in reasons.items()
    }
