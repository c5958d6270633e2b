"""Real worker processes for tests: start one, read its log, stop or kill it.

    with WorkerProcess(folder, redis_url, APP, concurrency=2) as worker:
        worker.wait_for("worker.connected")
        ...
        assert worker.stop() == 0
    assert worker.notes() == ["1", "2"]

The application is the module `app` of the folder. `notes()` returns the texts that its
tasks write with `note(text)`, in any process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .logging_process import LoggingProcess
from .waiting import PATIENCE, wait_until

__all__ = ["PATIENCE", "PRELUDE", "PYTHON", "WorkerProcess", "read_notes", "wait_until"]

# The interpreter of the workers. tests/packaging runs some tests on other interpreters.
PYTHON = os.environ.get("FLUXQUEUE_TEST_PYTHON", sys.executable)

PRELUDE = """
import os, threading, time
from fluxqueue import Context, FluxQueue

fluxqueue = FluxQueue(None)

def note(text):
    # One write to a file opened for appending: whole, and kept after a SIGKILL.
    file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\\n".encode())
    os.close(file)
"""


def read_notes(folder: Path) -> list[str]:
    """The notes of the tasks of all workers of this folder, in order."""
    file = folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


class WorkerProcess(LoggingProcess):
    """One worker process; ended, if need be by force, when the `with` block ends.

    Args:
        folder: its working directory; workers of one test may share it.
        app: the source of its module `app`, after `PRELUDE`.
        options: flags: `concurrency=2` is `--concurrency 2`, `no_save_dead_tasks=True`
            is a flag without a value.
        variables: added to its environment.
        under: a command that is given the rest as its arguments.
        python: the interpreter, if not the one of the tests.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        app: str,
        *,
        variables: dict[str, str] | None = None,
        under: Sequence[str] = (),
        python: str | Path = PYTHON,
        **options: object,
    ) -> None:
        source = folder / "app.py"
        # Another worker of this folder may be reading it just now.
        if not source.exists() or source.read_text() != PRELUDE + app:
            source.write_text(PRELUDE + app)
        own = {"FLUXQUEUE_TASKS_MODULE_PATH": "app", "NOTES": str(folder / "notes")}
        own |= variables or {}
        super().__init__(folder, redis_url, "fluxqueue_worker", options, own, under, python)

    def notes(self) -> list[str]:
        return read_notes(self.folder)
