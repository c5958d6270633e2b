"""Declares the periodic tasks of the application to Redis, twice a minute, for the schedulers.

Why: docs/decisions/0143-the-newest-declaration-wins.md
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fluxqueue.errors import FluxQueueError
from fluxqueue.periodic import PeriodicTask, Scheduled
from fluxqueue_core import Producer
from fluxqueue_core.periodic import DECLARE_INTERVAL, GRACE
from fluxqueue_core.service.log import Logger

if TYPE_CHECKING:
    from fluxqueue.broker import Broker

# Seconds until another try if Redis has not taken the declarations.
RETRY_INTERVAL = 1.0
# Declarations of one call.
AT_ONCE = 100


class Declarations(threading.Thread):
    """A thread that declares until `ended` is set.

    Args:
        tasks: the periodic tasks of the queues that this worker serves.
    """

    def __init__(
        self,
        tasks: Sequence[PeriodicTask],
        logger: Logger,
        ended: threading.Event,
        interval: float = DECLARE_INTERVAL,
        grace: float = GRACE,
    ) -> None:
        super().__init__(name="fluxqueue-periodic", daemon=True)
        self._logger = logger
        self._ended = ended
        self._interval = interval
        self._grace = grace
        self._by_place: dict[tuple[int, str], tuple[Broker, list[Scheduled]]] = {}
        for task in tasks:
            broker = task.call.task.broker
            _, made = self._by_place.setdefault((id(broker), task.queue), (broker, []))
            made.append(task.scheduled(declared=True))
        self._words: dict[tuple[str, bytes], str] = {}
        self._failing = False

    def run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                for (_, queue), (broker, made) in self._by_place.items():
                    for start in range(0, len(made), AT_ONCE):
                        self._declare(broker.producer, queue, made[start : start + AT_ONCE])
            except FluxQueueError as error:
                if not self._failing:
                    self._logger.error("periodic.not_declared", error=str(error))
                self._failing = True
                pause = RETRY_INTERVAL
            else:
                self._failing = False
                pause = self._interval

    def _declare(self, producer: Producer, queue: str, made: Sequence[Scheduled]) -> None:
        arguments = [b"declare", b"%d" % (self._grace * 1_000)]
        arguments += [part for each in made for part in each]
        for each, word in zip(made, producer.schedule(queue, arguments), strict=True):
            before = self._words.get((queue, each.id))
            self._words[queue, each.id] = word
            if word in ("added", "changed"):
                self._logger.info(f"periodic.{word}", queue=queue, entry=each.id.decode())
            elif word == "older" != before:
                self._logger.info(
                    "periodic.older",
                    queue=queue,
                    entry=each.id.decode(),
                    reason="a newer declaration has replaced the one of this worker's code",
                )
            elif word == "scheduled" != before:
                self._logger.error(
                    "periodic.refused",
                    queue=queue,
                    entry=each.id.decode(),
                    error="a call of schedule() has this id; give one of them another id",
                )
