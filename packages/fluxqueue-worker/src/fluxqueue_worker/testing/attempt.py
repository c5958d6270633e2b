"""An attempt at a task of a test, with the attributes of `fluxqueue_core.Attempt`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fluxqueue_core import checkpointed_message, json_codec

from fluxqueue_worker.registered_task import RegisteredTask

from .record import TaskRecord

CHECKPOINT_MAX = 65_536


class SimulatedAttempt:
    """See the module's text.

    Args:
        task: as the worker's code has it.
        keep_report: keeps a report of progress.

    Attributes:
        task: with the timeout of the message, and keeping the result if the message asks for it.
        started: when it began, ms since 1970.
        value: what the task returned, as JSON.
        error: what it raised.
        settled: whether it has an outcome.
    """

    def __init__(
        self,
        record: TaskRecord,
        task: RegisteredTask,
        keep_report: Callable[[TaskRecord, bytes], None],
    ) -> None:
        parts = record.parts
        self.record = record
        self.keeps_result = bool(parts["result_ttl"])
        if self.keeps_result:
            task = task.keeping()
        if parts["timeout"] is not None:
            task = task.with_timeout(parts["timeout"], parts["timeout_wins"])
        self.task = task
        self.args: list[Any] = json_codec.loads(parts["args"])
        kwargs = parts["kwargs"]
        self.kwargs: dict[str, Any] | None = None if kwargs is None else json_codec.loads(kwargs)
        self.task_id, self.name, self.queue = record.id, record.name, record.place.queue
        self.retries: int = parts["retries"]
        self.max_retries: int = parts["max_retries"]
        self.snoozes: int = parts["snoozes"]
        self.releases: int = parts["releases"]
        self.deliveries: int = parts["deliveries"]
        self.enqueued_at: int = parts["enqueued_at"]
        self.headers: dict[str, str] | None = parts["headers"]
        self.started = time.time_ns() // 1_000_000
        self.value = b"null"
        self.error: BaseException | None = None
        self.settled = False
        self.checkpoint = record.checkpoint
        self._keep_report = keep_report

    def keep(self, value: bytes) -> None:
        """Keeps what the task returned.

        Raises:
            ValueError: it has more bytes than `max_message_bytes`.
        """
        most = self.task.max_message_bytes
        if len(value) > most:
            raise ValueError(
                f"the task returned a value of {len(value)} bytes, more than max_message_bytes of "
                f"this worker allows ({most}); store it elsewhere and return a reference to it"
            )
        self.value = value

    def report(self, progress: bytes) -> None:
        """Keeps how far the task is."""
        if self.keeps_result and not self.settled:
            self._keep_report(self.record, progress)

    def save(self, checkpoint: bytes) -> None:
        """Saves a checkpoint.

        Raises:
            ValueError: it has more than 64 KiB, or the message would have too many bytes.
        """
        if len(checkpoint) > CHECKPOINT_MAX:
            raise ValueError(
                f"the checkpoint has {len(checkpoint)} bytes as JSON, more than {CHECKPOINT_MAX}; "
                f"store it elsewhere and save a reference to it"
            )
        message, most = (
            checkpointed_message(self.record.message, checkpoint),
            self.task.max_message_bytes,
        )
        if len(message) > most:
            raise ValueError(
                f"with this checkpoint of {len(checkpoint)} bytes the task's message has "
                f"{len(message)} bytes, more than max_message_bytes of this worker allows "
                f"({most}); save less"
            )
        if not self.settled:
            self.record.rewrite(message)
            self.record.checkpoint = self.checkpoint = checkpoint

    def trace_headers(self) -> tuple[str | None, str | None, str | None] | None:
        """Returns the headers `traceparent`, `tracestate` and `baggage`."""
        if self.headers is None:
            return None
        get = self.headers.get
        return get("traceparent"), get("tracestate"), get("baggage")

    def expire(self) -> bool:
        """No time passes between its beginning and the call of its function."""
        return False
