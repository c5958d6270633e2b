"""A client that goes on enqueueing while Redis fails over, and knows what it was told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from fluxqueue import BrokerError, EnqueueUncertain

from .waiting import PATIENCE, Deadline, wait_until

# Between two attempts of a call that has sent nothing (seconds).
PAUSE = 0.02
# Between two calls: so there are still some to come when something has happened.
PACE = 0.005


class Feeder:
    """Calls `enqueue` with each number in a thread; waits for it at the end.

        with Feeder(lambda number: task(number), range(1000)) as feeder:
            ...
        assert feeder.acknowledged <= ledger.ended()

    Attributes:
        acknowledged: the numbers whose call has returned.
        uncertain: those whose call said that it does not know.
    """

    def __init__(self, enqueue: Callable[[int], object], numbers: Iterable[int]) -> None:
        self.acknowledged: set[int] = set()
        self.uncertain: set[int] = set()
        self._enqueue = enqueue
        self._numbers = list(numbers)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for number in self._numbers:
                self._feed(number)
                time.sleep(PACE)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error

    def _feed(self, number: int) -> None:
        deadline = Deadline(2 * PATIENCE)
        while True:
            try:
                self._enqueue(number)
            except EnqueueUncertain:
                self.uncertain.add(number)
                return
            except BrokerError:  # nothing was enqueued
                if deadline.over():
                    raise
                time.sleep(PAUSE)
            else:
                self.acknowledged.add(number)
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        wait_until(lambda: not self._thread.is_alive(), 4 * PATIENCE, "the last call")
        if self._failure is not None:
            raise self._failure
