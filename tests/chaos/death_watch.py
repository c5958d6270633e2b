"""Notices that workers, or their suspects' lanes, have died by themselves."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .ledger import now

if TYPE_CHECKING:
    from .stack import Stack

INTERVAL = 0.05
# A zombie has died as well; its parent has only not looked yet.
DEAD_STATES = ("Z", "X")


class DeathWatch:
    """A thread that checks the processes continuously and records when each has died."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ended = threading.Event()
        self._known: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="death-watch", daemon=True)

    def start(self) -> None:
        with self._stack.lock:
            self._stack.deaths_expected += 1
        self._thread.start()

    def stop(self) -> None:
        """Looks a last time."""
        self._ended.set()
        self._thread.join()
        with self._stack.lock:
            self._stack.deaths_expected -= 1

    def _run(self) -> None:
        looked = now()
        while True:
            last = self._ended.wait(INTERVAL)
            looked, before = now(), looked
            self._look(before)
            if last:
                return

    def _look(self, before: float) -> None:
        running = {run.pid for run in self._stack.ledger.history().runs if run.over == float("inf")}
        running |= {worker.pid for worker in self._stack.workers}
        for pid in running - self._known:
            if is_dead(pid):
                self._known.add(pid)
                self._stack.lose(pid, before, now())
                self._replace(pid)

    def _replace(self, pid: int) -> None:
        for worker in list(self._stack.workers):
            if worker.pid == pid:
                worker.process.wait()
                self._stack.gone(worker)
                self._stack.start_worker()


def is_dead(pid: int) -> bool:
    """Whether no such process runs any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in DEAD_STATES
