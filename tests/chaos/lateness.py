"""How late this machine wakes up who sleeps: a promise in seconds can't be kept
by processes that get no processor."""

from __future__ import annotations

import threading
import time
from typing import Self

from .ledger import now

INTERVAL = 0.05
# From the end of a lease to the start of a task elsewhere a scheduler, Redis, a
# worker and a thread of it are woken.
STEPS = 4


class Lateness:
    """A thread that sleeps for short, and looks how long it was."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def allowance(self, since: float) -> float:
        """Seconds that what has begun then may take longer."""
        found = [late for moment, late in list(self._late) if moment >= since]
        return STEPS * max(found, default=0.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            before = now()
            time.sleep(INTERVAL)
            self._late.append((before, now() - before - INTERVAL))
