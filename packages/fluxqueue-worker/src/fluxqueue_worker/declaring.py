"""A thread that repeats to Redis what the code of this worker declares."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from fluxqueue.errors import FluxQueueError
from fluxqueue_core import Producer
from fluxqueue_core.service.log import Logger

if TYPE_CHECKING:
    from fluxqueue.broker import Broker

T = TypeVar("T")

# Seconds until another try if Redis has not taken the declarations.
RETRY_INTERVAL = 1.0
# Declarations of one call.
AT_ONCE = 100


class DeclaringThread(ABC, threading.Thread, Generic[T]):
    """Declares until `ended` is set.

    Args:
        subject: names the thread, and the line of the log if Redis refuses.
        interval: seconds between two declarations.
    """

    def __init__(
        self, subject: str, logger: Logger, ended: threading.Event, interval: float
    ) -> None:
        super().__init__(name=f"fluxqueue-{subject}", daemon=True)
        self._subject = subject
        self._logger = logger
        self._ended = ended
        self._interval = interval
        self._by_queue: dict[tuple[int, str], tuple[Broker, list[T]]] = {}
        self._failing = False

    def add(self, broker: Broker, queue: str, declaration: T) -> None:
        """Adds a declaration. Call it before the start."""
        _, made = self._by_queue.setdefault((id(broker), queue), (broker, []))
        made.append(declaration)

    def run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                for (_, queue), (broker, made) in self._by_queue.items():
                    for start in range(0, len(made), AT_ONCE):
                        self.declare(broker.producer, queue, made[start : start + AT_ONCE])
            except FluxQueueError as error:
                if not self._failing:
                    self._logger.error(f"{self._subject}.not_declared", error=str(error))
                self._failing = True
                pause = RETRY_INTERVAL
            else:
                self._failing = False
                pause = self._interval

    @abstractmethod
    def declare(self, producer: Producer, queue: str, made: Sequence[T]) -> None:
        """Sends declarations of one queue.

        Raises:
            FluxQueueError: Redis has not taken them.
        """
