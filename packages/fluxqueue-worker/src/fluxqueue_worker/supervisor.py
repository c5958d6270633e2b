"""The supervisor: starts worker processes, watches them, and replaces those that end.

It imports neither the application nor the modules that run tasks. A worker process is
a fresh interpreter with the supervisor's own command line (fork and exec, no copy of
this process that goes on): see `Process.start`.

Why: docs/decisions/0032-a-supervisor-of-fresh-interpreters.md
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING

from fluxqueue_core import __version__
from fluxqueue_core.service.log import Logger

from .options import Options
from .process import Process
from .shutdown import Signals

if TYPE_CHECKING:
    from fluxqueue_core.service.health import HealthServer

# Seconds between two looks at the processes if nothing reports a change.
INTERVAL = 1.0
# Seconds that a process has beyond the deadline of its drain before it is killed: to
# give tasks back, to end its lanes and to export its telemetry.
PATIENCE = 20.0
ENDED_EARLY = (
    "it ended with exit code 0 before it could take tasks; something that the tasks' module"
    " imports ends the process"
)


class Supervisor:
    """Keeps `options.processes` worker processes running.

    Args:
        arguments: the command line for the processes.

    Raises:
        ConfigurationError: the health endpoint can't listen.
    """

    def __init__(self, options: Options, arguments: Sequence[str], logger: Logger) -> None:
        self._options = options
        self._logger = logger
        self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD))
        self.processes = [
            Process(index, options, arguments, logger) for index in range(options.processes)
        ]
        self.draining = False
        self.turned_at = monotonic()
        # A process was up, so the configuration is good.
        self._proven = False
        self._kill_at = float("inf")
        self._health_server = self._listen()

    def _listen(self) -> HealthServer | None:
        if not self._options.health_port:
            return None
        # Imported only if the options ask for the endpoint.
        from fluxqueue_core.service.health import HealthServer

        from .process_health import ProcessHealth

        health = ProcessHealth(self.processes, lambda: self.turned_at, lambda: self.draining)
        host, port = self._options.health_host, self._options.health_port
        server = HealthServer(host, port, health.live, health.ready)
        server.metrics = health.metrics
        return server

    def run(self) -> int:
        """Supervises until a signal arrives and all processes have ended.

        Returns:
            0 if all have drained. If the first process ends before it is up, its exit
            code, or 1 for a 0; its message or the log says why.
        """
        with self._signals:
            self._poll = select.poll()
            self._poll.register(self._signals.fd, select.POLLIN)
            self._logger.info(
                "supervisor.started",
                version=__version__,
                pid=os.getpid(),
                processes=len(self.processes),
            )
            if self._health_server is not None:
                self._health_server.start()
            code = self._supervise()
            if self._health_server is not None:
                self._health_server.close()
            self._logger.info("supervisor.stopped", code=code)
        return code

    def _supervise(self) -> int:
        worst = 0
        while True:
            for process in self.processes:
                if (code := process.reap()) is None:
                    continue
                if not self.draining:
                    if code >= 0 and not self._proven and not process.was_up:
                        # It has printed the error, and is the only process so far.
                        if code == 0:
                            process.report_death(code, error=ENDED_EARLY)
                        return code or 1
                    process.report(code)
                # A SIGTERM kills a process that does not catch signals yet.
                elif code != 0 and (process.was_up or code != -signal.SIGTERM):
                    process.report_death(code)
                    worst = 1
            running = [process for process in self.processes if process.runs]
            if self.draining:
                if not running:
                    return worst
                if monotonic() >= self._kill_at:
                    for process in running:
                        process.kill()
            self._start_those_due()
            self._wait()

    def _start_those_due(self) -> None:
        for process in self._startable():
            if monotonic() >= process.start_at:
                process.start()

    def _startable(self) -> list[Process]:
        """The processes to start, each at its time. The first one proves that the
        configuration is good before the others start, so an error is reported once."""
        if self.draining:
            return []
        candidates = self.processes if self._proven else self.processes[:1]
        return [process for process in candidates if not process.runs]

    def _wait(self) -> None:
        """Waits for a signal, or until a process is up."""
        waiting = {
            process.link: process
            for process in self.processes
            if process.link is not None and process.runs and not process.was_up
        }
        for link in waiting:
            self._poll.register(link, select.POLLIN)
        until = min([process.start_at for process in self._startable()], default=float("inf"))
        left = min(until - monotonic(), INTERVAL)
        self._poll.poll(max(0, ceil(left * 1000)))
        self.turned_at = monotonic()
        for link, process in waiting.items():
            self._poll.unregister(link)
            self._proven |= process.is_up()
        for number in self._signals.take():
            self._on_signal(number)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return
        if number == signal.SIGQUIT:
            for process in self.processes:
                process.signal(signal.SIGQUIT)
            return
        self._kill_at = monotonic() + PATIENCE
        if self.draining:
            for process in self.processes:
                process.cut_short()
            return
        self.draining = True
        self._kill_at += self._options.drain_timeout
        self._logger.info("supervisor.draining", reason=signal.Signals(number).name)
        for process in self.processes:
            process.signal(signal.SIGTERM)
