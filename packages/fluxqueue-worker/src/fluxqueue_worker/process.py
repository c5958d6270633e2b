"""One of the supervisor's worker processes, and those started in its place."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import monotonic

from fluxqueue_core.service.log import Logger

from .options import Options
from .supervised import CUT, UP, Place

# Seconds between the death of a process and the start of the next, doubled with
# each that does not live for `STABLE` seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STABLE = 10.0


class Process:
    """See the module's text. Its methods are called by the supervisor's thread.

    Attributes:
        was_up: the process that runs, or the last one, has begun to work.
        start_at: by the clock, when the next one may be started.
        line: the supervisor's end of the line to it (`supervised`); None before
            the first.
        health_port: where it answers on this machine; None without an endpoint.
    """

    def __init__(
        self,
        index: int,
        options: Options,
        arguments: Sequence[str],
        logger: Logger,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.index = index
        self.was_up = False
        self.start_at = 0.0
        self.health_port: int | None = None
        self.line: socket.socket | None = None
        self._options = options
        self._arguments = arguments
        self._logger = logger
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._last_pid = 0

    @property
    def runs(self) -> bool:
        """Whether there is one that has not been collected."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Starts one; where the system has none to give, that is logged, and
        tried again later. Call it in the thread that lives as long as the
        supervisor: on Linux the process gets a SIGTERM when that thread ends.

        The supervisor has threads beside this one where there is a health endpoint,
        or a log that nobody reads. They can't leave a held lock behind in the
        child: from its fork (Linux: vfork) to its exec no Python runs there, since
        there is no `preexec_fn`."""
        self.was_up, self._started_at = False, self._clock()
        try:
            self._start()
        except OSError as error:
            pause = round(self._pause(), 1)
            self._logger.error(
                "process.not_started", process=self.index, error=str(error), restart_in=pause
            )

    def _start(self) -> None:
        with contextlib.ExitStack() as stack:
            ours, theirs = socket.socketpair()
            stack.callback(theirs.close)
            ours.setblocking(False)
            if self.line is not None:
                self.line.close()
            self.line = ours
            health = None
            if self._options.health_port:
                # On a free port that only this machine reaches.
                health = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
                self.health_port = health.getsockname()[1]
            place = Place(self.index, theirs.fileno(), None if health is None else health.fileno())
            module = [sys.executable, "-m", "fluxqueue_worker"]
            self._child = subprocess.Popen(
                [*module, *self._arguments, f"--supervised={place}"],
                cwd=self._options.folder,
                stdin=subprocess.DEVNULL,
                pass_fds=[fd for fd in (place.line, place.health) if fd is not None],
                # Ctrl+C goes to the terminal's group: it is passed on.
                process_group=0,
            )

    def is_up(self) -> bool:
        """Whether it has told that it works; to be asked when `line` is readable."""
        if self.line is not None:
            with contextlib.suppress(OSError):
                self.was_up |= UP in self.line.recv(64)
        return self.was_up

    def reap(self) -> int | None:
        """Collects it if it has ended: its exit code, negative for a signal."""
        child = self._child
        if child is None or (code := child.poll()) is None:
            return None
        self.is_up()
        self._child, self._last_pid = None, child.pid
        return code

    def report(self, code: int) -> None:
        """Logs how it ended, and sets the time for the next one."""
        if code == 0 and self.was_up:
            # It has drained, by itself or by a signal to it alone. (Before it is up
            # it catches no signals: a 0 is the application's, and would come again.)
            self._deaths = 0
            self.start_at = self._clock()
            self._logger.info("process.ended", process=self.index, pid=self._last_pid)
            return
        pause = self._pause()
        self.report_death(code, restart_in=round(pause, 1))

    def report_death(self, code: int, **fields: object) -> None:
        """Logs that it did not end well."""
        how: dict[str, object] = {"code": code}
        if code < 0:
            with contextlib.suppress(ValueError):
                how = {"signal": signal.Signals(-code).name}
        self._logger.error("process.died", process=self.index, pid=self._last_pid, **how, **fields)

    def _pause(self) -> float:
        """Seconds until the next may be started."""
        lived = self._clock() - self._started_at
        self._deaths = 1 if self.was_up and lived >= STABLE else self._deaths + 1
        pause = min(FIRST_PAUSE * 2.0 ** min(self._deaths - 1, 16), LONGEST_PAUSE)
        self.start_at = self._clock() + pause
        return pause

    def signal(self, number: int) -> None:
        """Sends a signal, if it runs."""
        if self._child is not None:
            self._child.send_signal(number)

    def cut_short(self) -> None:
        """Has it give back what it runs. One that can't read it is past listening."""
        if self.line is not None:
            with contextlib.suppress(OSError):
                self.line.send(CUT)

    def kill(self) -> None:
        """Ends it; its tasks are rescued later."""
        if self._child is not None:
            self._logger.error("process.killed", process=self.index, pid=self._child.pid)
            self._child.kill()
