"""Reads the result of a task by its id: its record, and the outcome that the worker has kept."""

from __future__ import annotations

import re
import time

from .framework import TaskResult, TaskResultStatus
from .records import Records, ResultRecord
from .results import change, ended, result_of

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# Seconds that the outcome may come later than the record says.
_UNDER_WAY = 30.0


def read_result(records: Records, result_ttl: float, task_id: object) -> TaskResult | None:
    """Returns the result; None if there is none (any more).

    Args:
        result_ttl: seconds for which outcomes are kept.

    Raises:
        BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time.
        ResultError: something else is in place of the outcome.
    """
    if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        return None
    record = records.read(task_id)
    if record is None:
        return None
    result = result_of(record, task_id)
    outcome = records.outcome(record.queue, task_id)
    if outcome:
        ended(result, outcome)
        return result
    status = _without_outcome(records, record, result_ttl, task_id)
    if status is None:
        return None
    change(result, status=TaskResultStatus(status))
    return result


def _without_outcome(
    records: Records, record: ResultRecord, result_ttl: float, task_id: str
) -> str | None:
    """Returns the status of a task of which no outcome is kept; None if it has ended."""
    age = time.time() - max(record.changed, record.run_after or 0)
    if age < result_ttl:
        # An outcome of this time would still be there.
        if record.status in ("READY", "RUNNING"):
            return record.status
        # The attempt has ended, and its outcome is under way; or it was lost with its worker.
        return "RUNNING" if age < _UNDER_WAY else "READY"
    state = records.find(record.queue, task_id)
    if state is None or state == "dead":
        return None
    return "RUNNING" if state == "claimed" and record.status == "RUNNING" else "READY"
