"""A record of calls and runs, outside Redis.

One file per run, which clients and tasks append to: a line is one write to a
file opened with O_APPEND, so it is whole and outlives a SIGKILL. Times are of
CLOCK_BOOTTIME in seconds, which all processes of a machine share and which no
one sets.

    call <first> <count> <expected> <time>     before a call, for a row of numbers
    returned|refused|uncertain <first> <count> <time>    the result of the call
    start <token> <number> <pid> <retries> <time>    an attempt at a task
    end|fail <token> <time>    it came to its last line, or raised
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# The expected end of a task: success, or dead with a reason.
ENDS = "end"
RETURNED, REFUSED, UNCERTAIN = "returned", "refused", "uncertain"


def now() -> float:
    """The ledger's clock, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Call:
    """One task as the client sees it.

    Attributes:
        expected: `end`, or `dead:<reason>`.
        called: when the call began.
        outcome: RETURNED, REFUSED (nothing was enqueued), UNCERTAIN, or None
            if the client died in the call.
        answered: when that was known.
    """

    number: int
    expected: str
    called: float
    outcome: str | None = None
    answered: float | None = None


@dataclass
class Run:
    """One attempt at a task.

    Attributes:
        retries: how many failures the worker had told it of.
        end: when it came to its last line; None if it raised, or its
            process died or still runs.
        failed: when it raised.
    """

    number: int
    pid: int
    retries: int
    start: float
    end: float | None = None
    failed: float | None = None

    @property
    def over(self) -> float:
        """When it was over, however; infinity where it has no end."""
        moments = [moment for moment in (self.end, self.failed) if moment is not None]
        return min(moments, default=float("inf"))


@dataclass
class History:
    """The contents of the ledger.

    Attributes:
        calls: by the task's number.
        runs: in the order of their lines.
    """

    calls: dict[int, Call] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def by_number(self) -> dict[int, list[Run]]:
        """The attempts at each task, in the order of their starts."""
        found: dict[int, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.number, []).append(run)
        for runs in found.values():
            runs.sort(key=lambda run: run.start)
        return found

    def in_flight(self, pid: int, moment: float) -> list[Run]:
        """The attempts that this process had begun and not ended then."""
        return [run for run in self.runs if run.pid == pid and run.start <= moment < run.over]


class Ledger:
    """The file, for those who write it and for the one who reads it."""

    def __init__(self, path: Path | str) -> None:
        # Kept open, so that a full table of descriptors does not prevent writing.
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._read_to = 0
        self._rest = b""
        self._history = History()
        self._runs: dict[str, Run] = {}

    def close(self) -> None:
        os.close(self._file)

    def called(self, first: int, count: int = 1, expected: str = ENDS) -> None:
        """Before the call, for the numbers from `first` on."""
        self._write(f"call {first} {count} {expected} {now()}")

    def answered(self, outcome: str, first: int, count: int = 1) -> None:
        """After it; `outcome` is RETURNED, REFUSED or UNCERTAIN."""
        self._write(f"{outcome} {first} {count} {now()}")

    @contextmanager
    def run(self, number: int, retries: int = 0) -> Iterator[None]:
        """Writes the start, and the end or the failure of the block."""
        token = f"{os.getpid()}-{next(self._numbers)}"
        self._write(f"start {token} {number} {os.getpid()} {retries} {now()}")
        try:
            yield
        except Exception:
            self._write(f"fail {token} {now()}")
            raise
        self._write(f"end {token} {now()}")

    def _write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())

    def history(self) -> History:
        """All that has been written so far. The object is the ledger's own and
        grows with each call."""
        with self._lock:
            while chunk := os.pread(self._file, 1 << 20, self._read_to):
                self._read_to += len(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    self._read(line.decode().split())
            return self._history

    def _read(self, words: list[str]) -> None:
        kind = words[0]
        if kind == "call":
            first, count, expected, moment = words[1:]
            for number in range(int(first), int(first) + int(count)):
                self._history.calls[number] = Call(number, expected, float(moment))
        elif kind in (RETURNED, REFUSED, UNCERTAIN):
            first, count, moment = words[1:]
            for number in range(int(first), int(first) + int(count)):
                call = self._history.calls[number]
                call.outcome, call.answered = kind, float(moment)
        elif kind == "start":
            token, number_word, pid, retries, start = words[1:]
            run = Run(int(number_word), int(pid), int(retries), float(start))
            self._runs[token] = run
            self._history.runs.append(run)
        elif kind == "end":
            self._runs[words[1]].end = float(words[2])
        elif kind == "fail":
            self._runs[words[1]].failed = float(words[2])
        else:
            raise ValueError(f"the ledger has a line that nobody writes: {words}")
