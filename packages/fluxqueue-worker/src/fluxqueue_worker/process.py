"""One of the supervisor's worker processes, and the processes that replace it."""

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
from .supervised import CUT, UP, ProcessPosition

# Seconds between the death of a process and the start of the next. Each process
# that does not live for `STABLE` seconds doubles it.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STABLE = 10.0


class Process:
    """See the module's text. Only the supervisor's thread calls its methods.

    Attributes:
        was_up: the running process, or the last one, has begun to work.
        start_at: when the next one may start, by the clock.
        link: the supervisor's end of the link to the process (`supervised`); None
            before the first process.
        health_port: the port on which it answers on this machine; None without a
            health endpoint.
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
        self.link: socket.socket | None = None
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
        """Whether there is a process that has not been collected."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The running process's number."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Starts a process. If the system can't create one, logs that and sets the
        time for another try. Call it in the thread that lives as long as the
        supervisor: on Linux the process gets a SIGTERM when that thread ends.

        The supervisor has other threads if it has a health endpoint, or if the reader
        of its log stalls. They can't leave a held lock behind in the child: without a
        `preexec_fn`, no Python code runs between its fork (Linux: vfork) and its exec.
        """
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
            if self.link is not None:
                self.link.close()
            self.link = ours
            health = None
            if self._options.health_port:
                # On a free port that only this machine can reach.
                health = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
                self.health_port = health.getsockname()[1]
            position = ProcessPosition(
                self.index, theirs.fileno(), None if health is None else health.fileno()
            )
            module = [sys.executable, "-m", "fluxqueue_worker"]
            self._child = subprocess.Popen(
                [*module, *self._arguments, f"--supervised={position}"],
                cwd=self._options.folder,
                stdin=subprocess.DEVNULL,
                pass_fds=[fd for fd in (position.link, position.health) if fd is not None],
                # Ctrl+C goes to the terminal's process group; the supervisor forwards it.
                process_group=0,
            )

    def is_up(self) -> bool:
        """Whether the process has reported that it works. Ask when `link` is readable."""
        if self.link is not None:
            with contextlib.suppress(OSError):
                self.was_up |= UP in self.link.recv(64)
        return self.was_up

    def reap(self) -> int | None:
        """Collects the process if it has ended. Returns its exit code, negative for a
        signal."""
        child = self._child
        if child is None or (code := child.poll()) is None:
            return None
        self.is_up()
        self._child, self._last_pid = None, child.pid
        return code

    def report(self, code: int) -> None:
        """Logs how the process ended, and sets the time for the next one."""
        if code == 0 and self.was_up:
            # It has drained, either by itself or because a signal reached it alone.
            # (Before it is up it catches no signals: the application caused that 0 and
            # would cause it again.)
            self._deaths = 0
            self.start_at = self._clock()
            self._logger.info("process.ended", process=self.index, pid=self._last_pid)
            return
        pause = self._pause()
        self.report_death(code, restart_in=round(pause, 1))

    def report_death(self, code: int, **fields: object) -> None:
        """Logs that the process failed."""
        how: dict[str, object] = {"code": code}
        if code < 0:
            with contextlib.suppress(ValueError):
                how = {"signal": signal.Signals(-code).name}
        self._logger.error("process.died", process=self.index, pid=self._last_pid, **how, **fields)

    def _pause(self) -> float:
        """The seconds until the next process may start."""
        lived = self._clock() - self._started_at
        self._deaths = 1 if self.was_up and lived >= STABLE else self._deaths + 1
        pause = min(FIRST_PAUSE * 2.0 ** min(self._deaths - 1, 16), LONGEST_PAUSE)
        self.start_at = self._clock() + pause
        return pause

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if it runs."""
        if self._child is not None:
            self._child.send_signal(number)

    def cut_short(self) -> None:
        """Tells the process to give back what it runs. A process that can't read that
        no longer listens to anything."""
        if self.link is not None:
            with contextlib.suppress(OSError):
                self.link.send(CUT)

    def kill(self) -> None:
        """Kills the process; its tasks are rescued later."""
        if self._child is not None:
            self._logger.error("process.killed", process=self.index, pid=self._child.pid)
            self._child.kill()
