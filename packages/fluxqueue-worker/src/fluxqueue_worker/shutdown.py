"""Wakes the loop of the main thread, collects signals, and ends the process."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections import deque
from types import FrameType
from typing import Any, Self

from fluxqueue_core.service import log
from fluxqueue_core.service.process import limit_exit


class Wakeup:
    """Wakes the loop of a worker, which also waits for its consumer. Enter it in that thread.

    Attributes:
        fd: readable after `wake`, until `take`; -1 while this is not entered.
    """

    def __init__(self) -> None:
        self.fd = self._write_fd = -1
        self._closing = threading.Lock()
        self._received: deque[int] = deque()

    def __enter__(self) -> Self:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        return self

    def wake(self) -> None:
        """Makes `fd` readable, from any thread."""
        # A late call must not write to a file that has got the number of the closed pipe.
        with self._closing, contextlib.suppress(OSError):
            if self._write_fd >= 0:
                os.write(self._write_fd, b"\0")

    def take(self) -> list[int]:
        """Returns what has been received since the last call, and makes `fd` unreadable."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 512):
                pass
        taken: list[int] = []
        while self._received:
            taken.append(self._received.popleft())
        return taken

    def reason(self, number: int) -> str:
        """Says for the log what one of them asks for."""
        return signal.Signals(number).name

    def __exit__(self, *exception: object) -> None:
        with self._closing:
            os.close(self.fd)
            os.close(self._write_fd)
            self.fd = self._write_fd = -1


class Signals(Wakeup):
    """Collects signals while it is entered.

    A signal makes `fd` readable; `take` then returns it. SIGQUIT also prints the stacks
    of all threads, at once and in C, so it works even if no Python code runs any longer.
    Use it in the main thread.

    Afterwards the process ignores these signals: it is about to end with its own exit
    code, which another SIGTERM must not change.
    """

    def __init__(
        self, collected: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    ) -> None:
        super().__init__()
        self._collected = collected
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in self._collected:
            self._previous[number] = signal.signal(number, self._on_signal)
        faulthandler.register(signal.SIGQUIT, file=2, all_threads=True, chain=True)
        # A SIGTERM must kill a process that a task forks (multiprocessing) like any
        # other process, and must not wake its parent.
        os.register_at_fork(after_in_child=self._restore)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)

    def __exit__(self, *exception: object) -> None:
        faulthandler.unregister(signal.SIGQUIT)
        for number in self._collected:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._previous_fd)
        super().__exit__(*exception)

    def _restore(self) -> None:
        """Restores the former handlers in a forked child."""
        faulthandler.unregister(signal.SIGQUIT)
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            # None: a handler that was not installed from Python.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def exit_with(code: int, stuck: bool) -> int:
    """Ends the process, even if a thread of the application never ends: a drained worker
    must not live on until it is killed.

    Args:
        stuck: a task still runs; the interpreter can't be shut down around it.

    Returns:
        The code, for a normal exit. The exit handlers of the application have five
        seconds then.
    """
    limit_exit(code)
    if not stuck:
        return code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    log.flush()
    os._exit(code)
