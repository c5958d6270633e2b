"""Cancels a task by its id, whether it waits or runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from fluxqueue_core import cancel_outcome

from .redis_client import Audit, RedisClient, Reply, ScriptCall

Cancelled: TypeAlias = Literal["cancelled", "requested", "already_done"]

# How long the ids of cancelled tasks are kept, in ms, and how many messages the script looks at: as
# a client does.
_KEPT = 7 * 86_400_000
_MOST = 2_000


def cancel(client: RedisClient, queue: str, task_id: str) -> Cancelled:
    """Cancels a task. `cancelled`: it will not begin; `requested`: the worker that has it, or
    claims it, ends it; `already_done`: the queue does not have it.

    Raises:
        ConfigurationError: the queue's name is not valid.
        RuntimeError: it is not an id.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work. A second call does no harm.
    """
    [word] = client.call(_call(client, queue, task_id, _MOST, Audit("cancel", task_id)))
    verdicts: dict[bytes, Cancelled] = {b"cancelled": "cancelled", b"requested": "requested"}
    return verdicts.get(word, "already_done")


def request(
    client: RedisClient, queue: str, task_ids: Sequence[str], *, is_audited: bool = False
) -> None:
    """Asks the workers that have these tasks, or claim them, to end them, in one round trip. Raises
    as `cancel`.

    Args:
        is_audited: whether each call writes an entry of the audit; False if the caller does.
    """
    audits = [Audit("cancel", task_id) if is_audited else None for task_id in task_ids]
    replies: list[Reply] = client.calls(
        [
            _call(client, queue, task_id, 0, audit)
            for task_id, audit in zip(task_ids, audits, strict=True)
        ]
    )
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _call(
    client: RedisClient, queue: str, task_id: str, most: int, audit: Audit | None
) -> ScriptCall:
    before, after = cancel_outcome(task_id)
    words = (task_id, _KEPT, most, before, after, "1" if client.is_cluster else "")
    return ScriptCall("cancel", queue, words, audit=audit)
