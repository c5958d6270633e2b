"""Deletes tasks that were found before: one call of the script `delete` for some of them, with the
effects of each end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fluxqueue_core import dead_result, script_keys

from .redis_client import Audit, RedisClient, ScriptCall

# Where the id is in a message.
_ID = slice(13, 49)
# The error in the result of a deleted task.
DELETED = "an operator has deleted the task"


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A message, and where it was found.

    Attributes:
        where: `pending`, `suspects`, `prioritized`, `delayed` or what `line_of` returns.
        within: in a list: how many elements to look at from the left end; from the right end if
            it is negative.
    """

    where: str
    message: bytes
    within: int = 0


def delete_waiting(
    client: RedisClient, queue: str, tasks: Sequence[WaitingTask], *, is_audited: bool = True
) -> list[bool]:
    """Ends waiting tasks as `cancelled`, skips those that have moved; returns which it ended.
    The caller bounds their number and their bytes.

    Args:
        is_audited: whether the call writes an entry of the audit; False if the caller does.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    keys = len(script_keys("delete", queue, namespace=client.namespace))
    words: list[str | bytes | int] = []
    results: list[str] = []
    for task in tasks:
        kept = dead_result(task.message, "cancelled", DELETED)
        if kept is not None:
            if not results and client.has_shards:
                client.call(ScriptCall("delete", queue))  # whether it has them is known then
            outcome, ttl = kept
            results.append(task.message[_ID].decode())
            kind = "keep_sharded" if client.has_shards else "keep"
            words += [keys + len(results), kind, outcome, ttl]
        words += [task.message, task.where, task.within, ""]
    ids = [task.message[_ID].decode(errors="replace") for task in tasks]
    audit = _audit(ids, "tasks that wait") if is_audited else None
    replies = client.call(ScriptCall("delete", queue, words, results=results, audit=audit))
    return [reply == 1 for reply in replies]


def delete_dead(
    client: RedisClient,
    queue: str,
    deaths: Sequence[tuple[bytes, bytes | float]],
    *,
    is_audited: bool = True,
) -> list[bool]:
    """Removes entries of the dead set, each with the moment of its death (ms), if it has not died
    again since; returns for each whether it was there. Raises as `delete_waiting`."""
    words = [word for entry, died in deaths for word in (entry, "dead", died, "")]
    entries = [entry.decode(errors="replace") for entry, _ in deaths]
    audit = _audit(entries, "dead tasks") if is_audited else None
    return [reply == 1 for reply in client.call(ScriptCall("delete", queue, words, audit=audit))]


def _audit(names: Sequence[str], kind: str) -> Audit:
    return Audit("delete", names[0] if len(names) == 1 else f"{len(names)} {kind}")
