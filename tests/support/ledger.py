"""A record of the runs, kept outside Redis in a file that every process appends to.

A task does `with ledger.run(number):`, which writes one line at its start and
one at its end; a task that raises or is killed has no end. Times are of
`time.monotonic()`, which on Linux all processes of a machine share.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .lateness import machine

# Seconds from the end of a task until Redis has its outcome, on a machine that is not
# late. If the worker is killed meanwhile, the task may run again.
SETTLING = 0.25


@dataclass
class Run:
    """One attempt at a task.

    Attributes:
        start, end: `time.monotonic()`; no end if it raised or was killed.
    """

    number: int
    pid: int
    start: float
    end: float | None = None

    def open_at(self, moment: float) -> bool:
        """Whether it was running at that moment, or its outcome could be on its way."""
        if self.end is None or moment <= self.end + SETTLING:
            return True
        return moment <= self.end + SETTLING + machine().allowance(self.end, moment)


class Ledger:
    """The file, for the tasks that write it and for the test that reads it."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        # Kept open: a task may be short, and there are thousands of them.
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._numbers = itertools.count()
        self._read_to = 0
        self._rest = b""
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    @contextmanager
    def run(self, number: int) -> Iterator[None]:
        """Writes the start, and the end unless the block raises."""
        token = f"{os.getpid()}-{next(self._numbers)}"
        self._write(f"start {token} {number} {os.getpid()} {time.monotonic()}")
        yield
        self._write(f"end {token} {time.monotonic()}")

    def _write(self, line: str) -> None:
        # One write to a file opened for appending: whole, and kept after a SIGKILL.
        os.write(self._file, f"{line}\n".encode())

    def runs(self) -> list[Run]:
        """All attempts so far, in the order of their start."""
        with self._lock:
            while chunk := os.pread(self._file, 1 << 20, self._read_to):
                self._read_to += len(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    self._read(line.decode().split())
            return list(self._runs.values())

    def _read(self, words: list[str]) -> None:
        if words[0] == "start":
            _, token, number, pid, start = words
            self._runs[token] = Run(int(number), int(pid), float(start))
        else:
            _, token, end = words
            self._runs[token].end = float(end)

    def started(self) -> set[int]:
        """The tasks that have begun."""
        return {run.number for run in self.runs()}

    def ended(self) -> set[int]:
        """The tasks that have ended well at least once."""
        return {run.number for run in self.runs() if run.end is not None}

    def lost(self, expected: Iterable[int]) -> set[int]:
        """Those of the expected tasks that have not ended well."""
        return set(expected) - self.ended()

    def times_run(self) -> dict[int, int]:
        """How often each task has begun."""
        times: dict[int, int] = {}
        for run in self.runs():
            times[run.number] = times.get(run.number, 0) + 1
        return times

    def run_twice(self) -> set[int]:
        """The tasks that have begun more than once."""
        return {number for number, times in self.times_run().items() if times > 1}

    def in_flight(self, pid: int, moment: float) -> set[int]:
        """The tasks that a killed process ran at its end, or had just ended.

        `moment` is just before the signal: what began between the two died with
        the process too, so there is no bound on the start.
        """
        return {run.number for run in self.runs() if run.pid == pid and run.open_at(moment)}

    def run_twice_unduly(self, pid: int, moment: float) -> set[int]:
        """The tasks that began more than once although they were not in flight
        in the process that was killed just after that moment."""
        return self.run_twice() - self.in_flight(pid, moment)
