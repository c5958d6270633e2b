"""Measures how late the machine is, so that a test fails for the product alone.

A process that gets no processor can't keep a promise in seconds. A thread samples,
about twenty times a second, how many processes want to run and how late the thread
itself is woken. A wait that began at some moment may then take longer by
`allowance(moment)`.

The processes of the product count like all others. A product that wastes CPU time is
therefore found by the CPU time that it uses (`tests/crash/test_idle.py`), not by a
deadline.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

INTERVAL = 0.05
# From one process to the next a result passes through several threads, and each
# may be woken late: scheduler, Redis, a worker, one of its threads.
STEPS = 4


class Demand(NamedTuple):
    """The demand for processors at one moment.

    Attributes:
        running: the threads that run or want to, without the one that asks.
        stolen: CPU seconds, since the start of the machine, that the host has given
            to other machines.
    """

    running: int
    stolen: float


def demand() -> Demand:
    """Reads the demand from the kernel."""
    running, stolen = 0, 0.0
    for line in Path("/proc/stat").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name == "cpu":
            stolen = int(rest.split()[7]) / os.sysconf("SC_CLK_TCK")
        elif name == "procs_running":
            running = int(rest) - 1
    return Demand(running, stolen)


class Lateness:
    """The samples, taken by a thread from `start` to `stop`.

    Args:
        clock: the clock of the moments that are asked about.
        demand: replaces the kernel in the tests of this class.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        demand: Callable[[], Demand] = demand,
        processors: int | None = None,
    ) -> None:
        self._clock = clock
        self._demand = demand
        self._processors = processors or os.cpu_count() or 1
        self._delays: list[float] = []
        self._lost: list[float] = []  # the sum up to each sample
        self._moments: list[float] = []  # when each sample ended
        self._stolen = demand().stolen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def lost(self, since: float, until: float | None = None) -> float:
        """The seconds between two moments (the second is now if None) that a process which
        wanted to run has spent waiting for a processor."""
        first, end = self._samples(since, until)
        if first >= end:
            return 0.0
        before = self._lost[first - 1] if first else 0.0
        return self._lost[end - 1] - before

    def waking(self, since: float, until: float | None = None) -> float:
        """The seconds by which a chain of processes that wake each other may be late: each
        step as late as the worst that was seen between the two moments."""
        first, end = self._samples(since, until)
        return STEPS * max(self._delays[first:end], default=0.0)

    def allowance(self, since: float, until: float | None = None) -> float:
        """The seconds that a process may take longer between two moments."""
        return self.lost(since, until) + self.waking(since, until)

    def _samples(self, since: float, until: float | None) -> tuple[int, int]:
        """The range of the samples that end after the first moment. The one during which
        the second moment was is the last."""
        end = len(self._moments)
        if until is not None:
            end = min(end, bisect_right(self._moments, until) + 1)
        return bisect_right(self._moments, since), end

    def sample(self, began: float) -> None:
        """Takes down the interval that began at that moment and ends now."""
        moment = self._clock()
        took = moment - began
        delay = max(0.0, took - INTERVAL)
        running, stolen = self._demand()
        share = self._processors / max(running, self._processors)
        # No more than all of the interval; a sample's clocks are not the same one.
        theft = min(1.0, (stolen - self._stolen) / (self._processors * took)) if took else 0.0
        self._stolen = stolen
        lost = max(delay, took * (1 - share * (1 - theft)))
        self._delays.append(delay)
        self._lost.append((self._lost[-1] if self._lost else 0.0) + lost)
        self._moments.append(moment)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = self._clock()
            time.sleep(INTERVAL)
            self.sample(began)


@functools.cache
def machine() -> Lateness:
    """The samples of this process, which begin with the first call."""
    return Lateness().start()
