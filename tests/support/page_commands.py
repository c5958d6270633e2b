"""Runs a page of docs/tutorial: writes its files, runs its commands, compares their output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from .waiting import PATIENCE, exit_code, wait_on

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SERVICE = re.compile(r"fluxqueue (dev|start|scheduler|dashboard)\b")


class PageRun:
    """A page in a folder, on one Redis. A `with` block ends its processes.

    - `python` blocks are files, whose first line is `# NAME`.
    - In `console` blocks, lines that begin with `$ ` are commands. Services run until the end. The
      lines after another command are its output; if there are none, it does not matter.
    - Lines of `text` blocks are what services print, before or after that.

    In output, `...` stands for any text. As a line, it stands for any lines.
    """

    def __init__(self, page: Path, folder: Path, redis_url: str) -> None:
        self._blocks = _BLOCK.findall(page.read_text())
        self._folder = folder
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
        self._environment = environment | {
            "FLUXQUEUE_REDIS_URL": redis_url,
            "FLUXQUEUE_DEV_DASHBOARD": "no",
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }
        self._services: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._printed: list[str] = []

    def run(self) -> int:
        """Runs the page from top to bottom; returns how many blocks it has run.

        Raises:
            AssertionError: a command failed, or printed something else.
        """
        for kind, block in self._blocks:
            if kind == "python":
                name = re.match(r"# (\w+\.py)\n", block)
                assert name, f"the block has no file name: {block}"
                (self._folder / name[1]).write_text(block)
            elif kind == "console":
                self._console(block)
            elif kind == "text":
                self._await(block.splitlines())
            else:
                raise AssertionError(f"a block of a tutorial is not {kind}")
        return len(self._blocks)

    def _console(self, block: str) -> None:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if _SERVICE.match(command):
                assert not output, "what a service prints is in a text block"
                self._start(command)
                continue
            ran = subprocess.run(
                ["bash", "-c", command],
                cwd=self._folder, env=self._environment,
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            # The doctor has found something, as the page says.
            assert ran.returncode == ("doctor" in command), ran.stderr
            if output:
                assert _pattern(output).fullmatch(ran.stdout), f"{command}\n{ran.stdout}"

    def _start(self, command: str) -> None:
        service = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._services.append(service)
        reader = threading.Thread(target=self._read, args=(service,), daemon=True)
        self._readers.append(reader)
        reader.start()

    def _read(self, service: subprocess.Popen[str]) -> None:
        assert service.stdout is not None
        for line in service.stdout:
            with self._changed:
                self._printed.append(line)
                self._changed.notify_all()

    def _await(self, lines: list[str]) -> None:
        for line in lines:
            self._await_line(line)

    def _await_line(self, line: str) -> None:
        # Not the whole line: threads of a worker that print at once share one.
        pattern = _pattern(line)
        wait_on(
            self._changed,
            lambda: pattern.search("".join(self._printed)) is not None,
            PATIENCE,
            lambda: f"{line!r} of a service; {self._output()}",
        )

    def _output(self) -> str:
        return "".join(self._printed[-40:])

    def __enter__(self) -> PageRun:
        return self

    def __exit__(self, *exception: object) -> None:
        for service in self._services:
            service.send_signal(signal.SIGTERM)
        for service, reader in zip(self._services, self._readers, strict=True):
            try:
                exit_code(service, PATIENCE, lambda: f"the end; {self._output()}")
            finally:
                service.kill()
                reader.join(PATIENCE)
                assert service.stdout is not None
                service.stdout.close()


def _pattern(text: str) -> re.Pattern[str]:
    """Returns what matches an output: `...` is any text of a line; alone in a line, any lines."""
    parts = (
        "(?:.*\n)*" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*")
        for line in text.splitlines(keepends=True)
    )
    return re.compile("".join(parts))
