"""Finds out once whether Redis may delete the worker's tasks, because it evicts keys."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fluxqueue_core import Settings, evictions
from fluxqueue_core.service import eviction
from fluxqueue_core.service.log import Logger


class EvictionCheck:
    """Asks when the first queue is connected, in a thread: the worker does not wait."""

    def __init__(self, settings: Settings, queues: Sequence[str], logger: Logger) -> None:
        self._settings = settings
        self._queues = queues
        self._logger = logger
        self._begun = False

    def connected(self) -> None:
        """Begins to ask, unless it has begun before."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._ask, name="fluxqueue-eviction", daemon=True).start()

    def _ask(self) -> None:
        for node, policy, maxmemory in evictions(self._settings, list(self._queues)):
            eviction.warn(self._logger, policy, maxmemory, node)
