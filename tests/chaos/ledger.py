"""A record of calls and runs, outside Redis.

One file per run, which clients and tasks append to: a line is one write to a
file opened with O_APPEND, so it is whole and outlives a SIGKILL. Times are of
CLOCK_BOOTTIME in seconds, which all processes of a machine share and which cannot
be set.

    call <first> <count> <expected> <time> <options>     before a call, for a row of numbers
    returned|refused|uncertain <first> <count> <time>    the result of the call
    present <number> <time> <id>    the result of a call that another task has answered
    cancelling <number> <time>    before a cancel
    cancel <number> <answer> <time>    the answer to it
    start <token> <number> <pid> <retries> <time>    an attempt at a task
    end|fail|off|stop <token> <time>    it came to its last line, raised, put itself off, or
                                        was stopped from outside
    waiter <pid>    a waiter begins to wait
    told <number> <state> <token>    a waiter was told a result: the token is its value
    saw <number> <token>    a waiter was told of the progress of an attempt

A callback runs under the negative number of its task.
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

from .options import NONE, CallOptions

# The expected end of a task: success, or dead with a reason.
ENDS = "end"
RETURNED, REFUSED, UNCERTAIN, PRESENT = "returned", "refused", "uncertain", "present"
# The line that ends an attempt, and the attribute of `Run`.
ENDS_OF_RUNS = {"end": "end", "fail": "failed", "off": "off", "stop": "stopped"}


def now() -> float:
    """The ledger's clock, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Call:
    """One task as the client sees it.

    Attributes:
        expected: `end`, or `dead:<reason>`.
        called: when the call began.
        outcome: RETURNED, REFUSED (nothing was enqueued), PRESENT (nothing was enqueued, because
            of another task), UNCERTAIN, or None if the client died in the call.
        answered: when that was known.
        options: those of the call.
        cancelling: when a cancel of the task began; None if there was none.
        verdict: the answer to the cancel, or None.
        cancelled: when it came.
        holder: the id of the task that has answered the call, if it is PRESENT.
    """

    number: int
    expected: str
    called: float
    outcome: str | None = None
    answered: float | None = None
    options: CallOptions = NONE
    cancelling: float | None = None
    verdict: str | None = None
    cancelled: float | None = None
    holder: str = ""

    @property
    def may_not_run(self) -> bool:
        """Whether the client allows that it ends without a run."""
        options = self.options
        return self.cancelling is not None or options.expires > 0 or options.debounce > 0


@dataclass
class Run:
    """One attempt at a task.

    Attributes:
        retries: how many failures the worker had told it of.
        end: when it came to its last line; None if it raised, or its
            process died or still runs.
        failed: when it raised.
        off: when it put itself off.
        stopped: when it was stopped by a cancel or a drain.
        token: its name in the ledger, which it returns.
    """

    number: int
    pid: int
    retries: int
    start: float
    end: float | None = None
    failed: float | None = None
    off: float | None = None
    stopped: float | None = None
    token: str = ""

    @property
    def over(self) -> float:
        """When it was over, however; infinity where it has no end."""
        every = (self.end, self.failed, self.off, self.stopped)
        return min((moment for moment in every if moment is not None), default=float("inf"))


@dataclass
class History:
    """The contents of the ledger.

    Attributes:
        calls: by the task's number.
        runs: in the order of their lines.
        told: the results that waiters were told, by number: (state, token of the value).
        seen: the tokens of the attempts whose progress waiters were told, by number.
        waiters: the processes that have begun to wait.
    """

    calls: dict[int, Call] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    told: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    seen: dict[int, set[str]] = field(default_factory=dict)
    waiters: set[int] = field(default_factory=set)

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

    def called(
        self,
        first: int,
        count: int = 1,
        expected: str = ENDS,
        options: CallOptions = NONE,
    ) -> None:
        """Before the call, for the numbers from `first` on."""
        self._write(f"call {first} {count} {expected} {now()} {options.word()}")

    def answered(self, outcome: str, first: int, count: int = 1) -> None:
        """After it; `outcome` is RETURNED, REFUSED or UNCERTAIN."""
        self._write(f"{outcome} {first} {count} {now()}")

    def present(self, number: int, holder: str) -> None:
        """After it, if another task is in its place."""
        self._write(f"{PRESENT} {number} {now()} {holder}")

    def cancelling(self, number: int) -> None:
        """Before a cancel."""
        self._write(f"cancelling {number} {now()}")

    def cancelled(self, number: int, answer: str) -> None:
        """After it."""
        self._write(f"cancel {number} {answer} {now()}")

    def waits(self) -> None:
        """This process is a waiter."""
        self._write(f"waiter {os.getpid()}")

    def told(self, number: int, state: str, token: object) -> None:
        """A waiter was told how the task has ended, and what it returned."""
        self._write(f"told {number} {state} {token}")

    def saw(self, number: int, token: str) -> None:
        """A waiter was told of progress."""
        self._write(f"saw {number} {token}")

    @contextmanager
    def run(self, number: int, retries: int = 0) -> Iterator[str]:
        """Writes the start and how the block ended. Yields the token of the attempt."""
        token = f"{os.getpid()}-{next(self._numbers)}"
        self._write(f"start {token} {number} {os.getpid()} {retries} {now()}")
        try:
            yield token
        except Exception as error:
            # By its name: a client does without the class.
            end = "off" if type(error).__name__ == "Snooze" else "fail"
            self._write(f"{end} {token} {now()}")
            raise
        except BaseException:
            self._write(f"stop {token} {now()}")
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
        history = self._history
        if kind == "call":
            first, count, expected, moment, options = words[1:]
            given = CallOptions.read(options)
            for number in range(int(first), int(first) + int(count)):
                history.calls[number] = Call(number, expected, float(moment), options=given)
        elif kind in (RETURNED, REFUSED, UNCERTAIN):
            first, count, moment = words[1:]
            for number in range(int(first), int(first) + int(count)):
                call = history.calls[number]
                call.outcome, call.answered = kind, float(moment)
        elif kind == PRESENT:
            call = history.calls[int(words[1])]
            call.outcome, call.answered, call.holder = kind, float(words[2]), words[3]
        elif kind == "cancelling":
            history.calls[int(words[1])].cancelling = float(words[2])
        elif kind == "cancel":
            call = history.calls[int(words[1])]
            call.verdict, call.cancelled = words[2], float(words[3])
        elif kind == "start":
            token, number_word, pid, retries, start = words[1:]
            run = Run(int(number_word), int(pid), int(retries), float(start), token=token)
            self._runs[token] = run
            history.runs.append(run)
        elif kind in ENDS_OF_RUNS:
            setattr(self._runs[words[1]], ENDS_OF_RUNS[kind], float(words[2]))
        elif kind == "waiter":
            history.waiters.add(int(words[1]))
        elif kind == "told":
            history.told.setdefault(int(words[1]), []).append((words[2], words[3]))
        elif kind == "saw":
            history.seen.setdefault(int(words[1]), set()).add(words[2])
        else:
            raise ValueError(f"the ledger has a line that nobody writes: {words}")
