"""A call that a test's application has made, and what has happened to its task."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fluxqueue.conversion import ConversionError
from fluxqueue.handle import TaskHandle
from fluxqueue.task import AnyTask
from fluxqueue_core import json_codec

from .record import TaskRecord


class Call:
    """A call that was enqueued in a test.

    Attributes:
        task: the decorated function that runs; None if no `FluxQueue` object here has its name.
        id: the task's id.
        name: the task's name.
        queue: its queue.
        args, kwargs: its arguments, as the function gets them.
        json: the same, as JSON has them.
        headers: those of the call.
        delay: seconds from the call until its first attempt: 0 if it is due at once.
        eta: that moment, if the call gave one: an aware datetime in UTC.
    """

    def __init__(self, record: TaskRecord, task: AnyTask | None) -> None:
        self._record = record
        self.task = task
        self.id, self.name, self.queue = record.id, record.name, record.place.queue
        self.delay = record.delay
        self.eta = None if record.eta is None else datetime.fromtimestamp(record.eta / 1000, UTC)
        self.headers: Mapping[str, str] = record.parts["headers"] or {}
        args: list[Any] = json_codec.loads(record.parts["args"])
        kwargs: dict[str, Any] = json_codec.loads(record.parts["kwargs"] or b"{}")
        self.json: tuple[list[Any], dict[str, Any]] = args, kwargs
        conversion = None if task is None else task.conversion()
        if conversion is not None:
            # Else its attempt fails, and says why.
            with contextlib.suppress(ConversionError):
                args, kwargs = conversion.decode(args, kwargs)
        self.args, self.kwargs = tuple(args), kwargs

    @property
    def state(self) -> str:
        """`waiting`, `running`, `succeeded`, or why it did not succeed, as `TaskHandle.status`
        says it: `failed`, `rejected`, `expired`, `cancelled` and others."""
        return self._record.state

    @property
    def attempts(self) -> int:
        """How many attempts have begun."""
        return self._record.attempts

    @property
    def delays(self) -> list[float]:
        """Seconds before each further attempt: the delays of its retries and snoozes."""
        return list(self._record.delays)

    @property
    def error(self) -> BaseException | None:
        """The exception that its last failed attempt raised."""
        return self._record.error

    @property
    def handle(self) -> TaskHandle[Any]:
        """The task's handle."""
        returned = None if self.task is None else self.task.returned
        keeps = bool(self._record.parts["result_ttl"])
        return TaskHandle(self.id, self.queue, self._record.broker, returned, keeps)

    def __repr__(self) -> str:
        shown = [*map(repr, self.args), *(f"{name}={self.kwargs[name]!r}" for name in self.kwargs)]
        queue = "" if self.queue == "default" else f" of queue {self.queue!r}"
        delay = f", delay {self.delay:g} s" if self.delay else ""
        return f"{self.name}({', '.join(shown)}){queue}{delay}"
