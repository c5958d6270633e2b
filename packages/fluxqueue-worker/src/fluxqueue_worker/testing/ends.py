"""How the tasks of a test end, and what follows from it: `lua/lib/finish.lua` in place of Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from fluxqueue.errors import TaskExpired
from fluxqueue_core import (
    Attempt,
    dead_result,
    failure_call,
    retried_message,
    snoozed_message,
    succeeded_result,
)

from .attempt import SimulatedAttempt
from .record import TaskRecord
from .world import World


class TaskEnds:
    """Settles attempts: has the methods of the consumer that `Outcomes` calls."""

    def __init__(self, world: World) -> None:
        self._world = world

    def succeed(self, attempt: Attempt) -> bool:
        """The task returned."""
        own, record = _settled(attempt)
        self._keep(record, succeeded_result(record.message, own.value, own.started))
        self._end(record, "succeeded")
        return True

    def retry(self, attempt: Attempt, delay: float) -> bool:
        """It failed, and runs again after `delay` seconds."""
        return self._put_off(attempt, delay, retried_message)

    def snooze(self, attempt: Attempt, delay: float) -> bool:
        """It has put itself off by `delay` seconds."""
        return self._put_off(attempt, delay, snoozed_message)

    def release(self, attempt: Attempt) -> bool:
        """No worker of a test ends while a task runs."""
        raise NotImplementedError

    def make_dead(
        self, attempt: Attempt, reason: str, error: str, traceback: str | None = None
    ) -> bool:
        """It will not run again."""
        own, record = _settled(attempt)
        self.dead(record, reason, error, traceback, own.started, error=own.error)
        return True

    def cancel(self, attempt: Attempt) -> bool:
        """It was cancelled while it ran."""
        own, record = _settled(attempt)
        self._keep(record, dead_result(record.message, "cancelled", "", None, own.started))
        self._end(record, "cancelled")
        return True

    def cancelled(self, record: TaskRecord) -> None:
        """It was cancelled while it waited."""
        self._keep(record, dead_result(record.message, "cancelled", ""))
        self._end(record, "cancelled")

    def expire(self, record: TaskRecord) -> None:
        """It has waited for too long."""
        has_begun = bool(record.parts["retries"] or record.parts["snoozes"])
        text = f"it expired before {'its next' if has_begun else 'an'} attempt began"
        self._keep(record, dead_result(record.message, "expired", ""))
        self._call_back(record, "expired", text)
        error = TaskExpired(f"task {record.id} (queue {record.place.queue!r}): {text}")
        error.task_id, error.queue, error.state = record.id, record.place.queue, "expired"
        error.__cause__ = record.error
        self._end(record, "expired", error)

    def dead(
        self,
        record: TaskRecord,
        reason: str,
        text: str,
        traceback: str | None = None,
        started: int | None = None,
        *,
        error: BaseException | None,
    ) -> None:
        """It is dead. Args: `started`: when the attempt began that has ended it."""
        self._keep(record, dead_result(record.message, reason, text, traceback, started))
        self._call_back(record, reason, text, traceback, has_begun=started is not None)
        self._end(record, reason, error)

    def reported(self, record: TaskRecord, report: bytes) -> None:
        """It has reported its progress."""
        self._keep(record, (report, record.parts["result_ttl"]))

    def _put_off(self, attempt: Attempt, delay: float, rewritten: Callable[[bytes], bytes]) -> bool:
        own, record = _settled(attempt)
        record.error = own.error
        if record.is_cancelled:
            self.cancelled(record)
            return True
        record.rewrite(rewritten(record.message))
        record.delays.append(delay)
        record.due = self._world.now + delay
        self._world.locks.put_off(record)
        self._world.enqueue(record)
        return True

    def _call_back(
        self,
        record: TaskRecord,
        reason: str,
        text: str,
        traceback: str | None = None,
        *,
        has_begun: bool = False,
    ) -> None:
        place = record.place
        call = failure_call(
            record.message, place.queue, reason, text, place.namespace, traceback, has_begun
        )
        if call is not None:
            key, message = call
            # A key has its queue in braces.
            queue = key[key.index("{") + 1 : key.rindex("}")]
            self._world.add_message(record.broker, queue, message, record.root)

    def _end(self, record: TaskRecord, state: str, error: BaseException | None = None) -> None:
        record.state, record.error = state, error or record.error
        self._world.ended(record, error)

    def _keep(self, record: TaskRecord, kept: tuple[bytes, int] | None) -> None:
        if kept is not None:
            outcome, ttl_ms = kept
            until = self._world.now + ttl_ms / 1000
            self._world.results.keep((record.place, record.id), outcome, until)


def _settled(attempt: Attempt) -> tuple[SimulatedAttempt, TaskRecord]:
    own = cast("SimulatedAttempt", attempt)
    own.settled = True
    return own, own.record
