"""Declares the periodic tasks of the application to Redis, twice a minute, for the schedulers.

Why: docs/decisions/0143-the-newest-declaration-wins.md
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fluxqueue.periodic import PeriodicTask, Scheduled
from fluxqueue_core import Producer
from fluxqueue_core.periodic import DECLARE_INTERVAL, GRACE
from fluxqueue_core.service.log import Logger

from .declaring import DeclaringThread


class Declarations(DeclaringThread[Scheduled]):
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
        super().__init__("periodic", logger, ended, interval)
        self._grace = grace
        for task in tasks:
            self.add(task.call.task.broker, task.queue, task.scheduled(declared=True))
        self._words: dict[tuple[str, bytes], str] = {}

    def declare(self, producer: Producer, queue: str, made: Sequence[Scheduled]) -> None:
        arguments = [b"declare", b"%d" % (self._grace * 1_000)]
        arguments += [part for each in made for part in each]
        for each, word in zip(made, producer.schedule(queue, arguments), strict=True):
            before = self._words.get((queue, each.id))
            self._words[queue, each.id] = word
            if word in ("added", "changed"):
                self._logger.info(f"periodic.{word}", queue=queue, periodic=each.id.decode())
            elif word == "older" != before:
                self._logger.info(
                    "periodic.older",
                    queue=queue,
                    periodic=each.id.decode(),
                    reason="a newer declaration has replaced the one of this worker's code",
                )
            elif word == "scheduled" != before:
                self._logger.error(
                    "periodic.refused",
                    queue=queue,
                    periodic=each.id.decode(),
                    error="a call of schedule() has this id; give one of them another id",
                )
