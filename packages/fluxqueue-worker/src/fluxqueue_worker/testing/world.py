"""The part of a simulation that its parts use."""

from __future__ import annotations

from typing import Protocol

from fluxqueue.broker import Broker

from .locks import Locks
from .record import TaskRecord
from .results import Results


class World(Protocol):
    """The simulation, for its parts.

    Attributes:
        now: the time, in seconds of the test's clock.
        brokers: those of the objects whose calls it takes.
    """

    now: float
    brokers: list[Broker]
    results: Results
    locks: Locks

    def enqueue(self, record: TaskRecord) -> None:
        """Puts a task among those that wait."""

    def add_message(
        self, broker: Broker, queue: str, message: bytes, root: TaskRecord | None
    ) -> TaskRecord:
        """Enqueues a message that no call has made."""

    def ended(self, record: TaskRecord, error: BaseException | None) -> None:
        """No attempt of the task follows."""
