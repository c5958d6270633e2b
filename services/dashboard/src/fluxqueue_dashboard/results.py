"""Reads the outcome or the progress that Redis keeps of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fluxqueue_control.read_numbers import seconds
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.shown_json import read_json
from redis.exceptions import ResponseError

# Bytes of a result that a page shows, at most.
_MOST = 262_144


@dataclass(frozen=True, slots=True)
class KeptResult:
    """The outcome or the report of progress of one task.

    Attributes:
        state: `succeeded`, or a reason of the dead set; None for a report.
        report: `done`, `total` and `note`; None if it is an outcome.
        is_large: whether it is too large for a page.
    """

    state: str | None = None
    value: Any = None
    error: str = ""
    finished: float | None = None
    report: dict[str, Any] | None = None
    is_large: bool = False


def read_result(client: RedisClient, queue: str, task_id: str) -> KeptResult | None:
    """Reads what is kept of a task. None: nothing, or this user may not read it."""
    key = client.key("result", queue, task_id)
    length, text = client.commands([("STRLEN", key), ("GETRANGE", key, 0, _MOST - 1)])
    if isinstance(length, ResponseError) or isinstance(text, ResponseError) or not text:
        return None
    if length > _MOST:
        return KeptResult(is_large=True)
    try:
        found = read_json(text)
        if "progress" in found:
            report = found["progress"]
            return KeptResult(report={key: report.get(key) for key in ("done", "total", "note")})
        state, finished = str(found["state"]), found.get("finished")
        value = found.get("value") if state == "succeeded" else None
        error = found.get("error") or {}
        return KeptResult(
            state,
            value,
            str(error.get("text", "")),
            seconds(finished),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
