"""Starts, kills and always stops the demo's processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from fluxqueue.child_process import bound_to_parent

HERE = Path(__file__).parent
PATIENCE = 40.0


class Processes:
    """Starts Python modules as processes; none outlives the `with` block.

    Args:
        folder: the place for their logs.
        variables: added to their environment.
    """

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        self._environment = os.environ | variables
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, module: str) -> None:
        """Runs a module to its end.

        Raises:
            CalledProcessError: it failed.
        """
        command = [sys.executable, "-m", module]
        subprocess.run(command, cwd=HERE, env=self._environment, check=True)

    def start(self, name: str, module: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                bound_to_parent([sys.executable, "-m", module, *arguments]),
                cwd=HERE,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self, pid: int) -> str:
        """SIGKILL; returns the name of the process."""
        (name,) = [name for name, process in self._running.items() if process.pid == pid]
        process = self._running.pop(name)
        process.kill()
        process.wait()
        return name

    def stop(self) -> list[str]:
        """Asks all to end; returns the problems, one sentence each."""
        for process in self._running.values():
            process.terminate()
        problems = []
        for name, process in self._running.items():
            code = process.wait(PATIENCE)
            if code != 0:
                problems.append(f"{name} ended with {code}, not with 0")
        self._running.clear()
        return problems

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
