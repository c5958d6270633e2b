"""A process of ours that logs JSON lines: start it, read its log, end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from .waiting import PATIENCE, exit_code, wait_on


class LoggingProcess:
    """`python -m <module>`; ended, if need be by force, when the `with` block ends.

    Args:
        folder: its working directory.
        options: flags: `concurrency=2` is `--concurrency 2`, `no_save_dead_tasks=True`
            is a flag without a value.
        variables: added to its environment.
        under: a command that is given the rest as its arguments.
        python: the interpreter, if not the one of the tests.
        arguments: come before the flags.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        module: str,
        options: Mapping[str, object],
        variables: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        python: str | Path = sys.executable,
        arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        flags = list(arguments)
        for name, value in options.items():
            flags.append("--" + name.replace("_", "-"))
            if value is not True:
                flags.append(str(value))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
        environment |= {
            "FLUXQUEUE_REDIS_URL": redis_url,
            "FLUXQUEUE_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        self.lines: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [*under, python, "-m", module, *flags],
            cwd=folder,
            env=environment | dict(variables or {}),
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            text = raw.decode(errors="replace").rstrip("\n")
            with self._changed:
                try:
                    self.lines.append(json.loads(text))
                except ValueError:
                    self.other_output.append(text)
                self._changed.notify_all()

    def named(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The log lines of this event that have these fields."""
        wanted = {"event": event} | fields
        return [line for line in list(self.lines) if wanted.items() <= line.items()]

    def wait_for(
        self, event: str, count: int = 1, timeout: float = PATIENCE, **fields: object
    ) -> dict[str, Any]:
        """Waits for the line number `count` of this event, and returns it.

        Raises:
            AssertionError: the line did not come; shows the lines that did.
        """
        self._wait_for(
            lambda: len(self.named(event, **fields)) >= count,
            timeout,
            f"line {event} {fields} (number {count})",
        )
        return self.named(event, **fields)[count - 1]

    def wait_for_output(self, text: str, timeout: float = PATIENCE) -> None:
        """Waits for a line that is not of the log and has this text."""
        self._wait_for(
            lambda: any(text in line for line in self.other_output),
            timeout,
            f"output with {text!r}",
        )

    def _wait_for(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        wait_on(self._changed, condition, timeout, lambda: f"{what}; {self.output()}")

    def output(self) -> str:
        """All that was written, for the message of a failed assertion."""
        shown = [json.dumps(line) for line in self.lines[-40:]] + self.other_output[-40:]
        return f"exit code {self.process.poll()}, output:\n" + "\n".join(shown)

    def cpu_seconds(self) -> float:
        """The CPU time that it has used so far, all threads, user and system."""
        stat = self._stat()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def is_stopped(self) -> bool:
        """Returns whether a signal has stopped it."""
        return self._stat()[0] == "T"

    def _stat(self) -> list[str]:
        """Returns the fields of /proc from the state on."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for the end; returns the exit code (negative: the signal)."""
        code = exit_code(self.process, timeout, lambda: f"its end; {self.output()}")
        self._reader.join(PATIENCE)
        return code

    def stop(self, timeout: float = PATIENCE) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL, and the wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # A stopped process must be continued to be killed by its death signal.
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        self.kill()
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
