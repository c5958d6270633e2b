"""`fluxqueue start --reload`: a worker for development, replaced when its code changes.

This process watches the files, and imports none of the application. The worker is a child with
this command line, so each one is a fresh interpreter.

Why: docs/decisions/0205-a-changed-file-starts-a-fresh-interpreter.md
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from fluxqueue.child_process import bound_to_parent
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.command_line import USAGE_ERROR
from fluxqueue_core.service.log import Logger

from .options import Options
from .shutdown import Signals

# Seconds that running tasks have when the code has changed, at most.
DRAIN = 3.0
# Seconds that a worker has beyond them before it is killed.
PATIENCE = 10.0
# Names in a log line, at most.
_MOST_NAMES = 5


class Reloader:
    """Keeps one worker running, with the code as it is now.

    Args:
        arguments: the command line for the worker.

    Raises:
        ConfigurationError: a library is missing, or a folder to watch does not exist.
    """

    def __init__(self, options: Options, arguments: Sequence[str], logger: Logger) -> None:
        try:
            import pathspec  # noqa: F401  # missed before the worker starts
            import watchfiles  # noqa: F401
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"--reload needs {error.name}, which is not installed: "
                "pip install 'pathspec>=0.12' 'watchfiles>=1'"
            ) from None
        self._folders = [Path(folder).absolute() for folder in options.reload_dirs]
        for folder in self._folders:
            if not folder.is_dir():
                raise ConfigurationError(f"--reload-dir {folder} is not a folder")
        drain = min(options.drain_timeout, DRAIN)
        own = ["--no-reload", f"--drain-timeout={drain:g}"]
        self._command = [sys.executable, "-m", "fluxqueue_worker", *arguments, *own]
        self._drain = drain
        self._logger = logger
        self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # Whether a worker with a good command line was there.
        self._proven = False

    def run(self) -> int:
        """Runs until SIGTERM or Ctrl+C, and returns the exit code of the last worker; or until
        the first worker refuses its command line."""
        with self._signals:
            watcher = threading.Thread(target=self._watch, name="reload", daemon=True)
            watcher.start()
            self._logger.info("reload.started", folders=[str(each) for each in self._folders])
            try:
                return self._supervise()
            finally:
                self._stop.set()
                watcher.join()

    def _supervise(self) -> int:
        child: subprocess.Popen[bytes] | None = self._launch()
        while True:
            numbers = self._wait()
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                return self._end(child)
            if changed := self._take_changed():
                self._logger.info("reload.changed", files=changed)
                # The same signals that end this process may come while the worker drains.
                code = self._end(child, monotonic() + self._drain + PATIENCE)
                if self._is_over:
                    return code
                child = self._launch()
            elif child is not None and (ended := child.poll()) is not None:
                if ended == USAGE_ERROR and not self._proven:
                    return ended
                child = None
                self._logger.warning("reload.worker_ended", code=ended, waits_for="a change")

    def _launch(self) -> subprocess.Popen[bytes]:
        self._is_over = False
        # In a separate group, so that Ctrl+C reaches only this process, which ends the child.
        return subprocess.Popen(bound_to_parent(self._command), process_group=0)

    def _wait(self) -> list[int]:
        """Waits for a signal or a change; returns the signals."""
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        poll.poll(1_000)
        return self._signals.take()

    def _end(self, child: subprocess.Popen[bytes] | None, kill_at: float = float("inf")) -> int:
        """Ends the worker; a further signal cuts its drain short. Returns its exit code."""
        if child is None:
            return 0
        self._proven = True
        child.terminate()
        while child.poll() is None:
            numbers = self._wait()
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                self._is_over = True
                child.terminate()
            if monotonic() > kill_at:
                child.kill()
        # A worker that still imports the application does not catch the signal yet.
        code = 0 if child.returncode == -signal.SIGTERM else child.returncode
        return code if code >= 0 else 1

    def _take_changed(self) -> list[str]:
        with self._lock:
            changed, self._changed = sorted(self._changed), set()
        return changed[:_MOST_NAMES]

    def _watch(self) -> None:
        """Notes which source files have changed. A burst of changes is one change."""
        from watchfiles import PythonFilter, watch

        from .gitignore import GitIgnore

        ignore = GitIgnore()
        changes = watch(
            *self._folders,
            watch_filter=PythonFilter(),
            step=100,
            stop_event=self._stop,
            raise_interrupt=False,
        )
        for change in changes:
            names = {name for _, name in change if not ignore.excludes(Path(name))}
            if names:
                with self._lock:
                    self._changed |= names
                self._signals.wake()
