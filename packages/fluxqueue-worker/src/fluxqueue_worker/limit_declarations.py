"""Declares the limits of the application to Redis, twice a minute, so that a changed limit also
counts for the tasks that wait.

Why: docs/decisions/0153-a-rule-goes-before-the-numbers-of-a-message.md
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fluxqueue.limits import Limit
from fluxqueue_core import Producer
from fluxqueue_core.limits import limit_digest
from fluxqueue_core.service.log import Logger

from .declaring import DeclaringThread

if TYPE_CHECKING:
    from fluxqueue.broker import Broker

# Seconds between two declarations, and for which a limit that newer code has replaced is known.
INTERVAL = 30.0
GRACE = 300.0


class QueueLimit(NamedTuple):
    """A limit of tasks of a served queue."""

    broker: Broker
    queue: str
    limit: Limit


class LimitDeclarations(DeclaringThread[Limit]):
    """A thread that declares until `ended` is set.

    Args:
        limits: those of the queues that this worker serves.
    """

    def __init__(
        self,
        limits: Iterable[QueueLimit],
        logger: Logger,
        ended: threading.Event,
        interval: float = INTERVAL,
        grace: float = GRACE,
    ) -> None:
        super().__init__("limit", logger, ended, interval)
        self._grace = grace
        for each in limits:
            self.add(*each)
        self._words: dict[tuple[str, str], str] = {}

    def declare(self, producer: Producer, queue: str, made: Sequence[Limit]) -> None:
        arguments = [b"declare", b"%d" % (self._grace * 1_000)]
        for limit in made:
            arguments += [limit_digest(limit.name).encode(), limit.rules.record(limit.name)]
        for limit, word in zip(made, producer.limit_rules(queue, arguments), strict=True):
            before = self._words.get((queue, limit.name))
            self._words[queue, limit.name] = word
            if word == "changed":
                self._logger.info(
                    "limit.declared", queue=queue, limit=limit.name, rules=str(limit.rules)
                )
            elif word == "older" != before:
                self._logger.info(
                    "limit.older",
                    queue=queue,
                    limit=limit.name,
                    reason="a newer declaration has replaced the one of this worker's code",
                )
