"""Programs of an application, each with a file that has all they print."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from .waiting import PATIENCE, exit_code, wait_until


class Program:
    """A program and its children, ended by force when the `with` block ends."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, log: Path, variables: Mapping[str, str]
    ) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def wait_for(self, *texts: str) -> None:
        """Waits until it has printed all of these.

        Raises:
            AssertionError: it has ended, or did not; shows what it has printed.
        """

        def printed() -> bool:
            output = self.log.read_text()
            if all(text in output for text in texts):
                return True
            assert self.process.poll() is None, self._failure(f"it has ended without {texts}")
            return False

        wait_until(printed, what=lambda: self._failure(f"{texts}"))

    def _failure(self, what: str) -> str:
        return f"{what}; {self.log.name} has:\n{self.log.read_text()[-4_000:]}"

    def stop(self) -> None:
        """SIGTERM, and the wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        exit_code(self.process, PATIENCE, lambda: self._failure("the end"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
