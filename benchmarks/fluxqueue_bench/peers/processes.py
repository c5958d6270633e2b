"""The processes of a library's worker, whatever they start themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxqueue_bench.harness import Bench

from .library import Library, WorkerSettings

_TICKS = os.sysconf("SC_CLK_TCK")


class Worker:
    """Processes that run until `kill`; each is the leader of a session, which
    its children keep after a fork."""

    def __init__(self, library: Library, settings: WorkerSettings, bench: Bench) -> None:
        variables = library.variables(bench.redis.url, bench.records_file, settings.variables)
        self._processes = []
        for command, *arguments in settings.words(variables):
            self._processes.append(
                subprocess.Popen(
                    # A command that is an absolute path stays as it is.
                    [str(library.binaries / command), *arguments],
                    cwd=library.folder,
                    env=variables,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )

    def _alive(self) -> Iterator[tuple[int, list[str]]]:
        """Process id and /proc/PID/stat after the name, of every live process."""
        sessions = {process.pid for process in self._processes}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(stat[3]) in sessions and stat[0] != "Z":
                yield int(folder.name), stat

    def cpu_seconds(self) -> float:
        """User and system seconds, with the children that it has waited for."""
        return sum(sum(map(int, stat[11:15])) for _, stat in self._alive()) / _TICKS

    def pss_mib(self) -> float:
        """Proportional set size of all its processes."""
        kib = 0
        for pid, _ in self._alive():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kib / 1024

    def kill(self) -> None:
        """SIGKILL for all of them."""
        for _ in range(50):
            alive = [pid for pid, _ in self._alive()]
            if not alive:
                break
            for pid in alive:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)
        for process in self._processes:
            process.wait()


@contextmanager
def worker(library: Library, settings: WorkerSettings, bench: Bench) -> Iterator[Worker]:
    """A worker for the time of a measurement."""
    running = Worker(library, settings, bench)
    try:
        yield running
    finally:
        running.kill()


def produce(library: Library, bench: Bench, mode: str, n: int, more: dict[str, str]) -> str:
    """Returns the output of libraries/common/produce.py for n tasks.

    Raises:
        RuntimeError: it failed.
    """
    return script(library, bench, "produce", more, mode, str(n))


def script(library: Library, bench: Bench, name: str, more: dict[str, str], *words: str) -> str:
    """Returns the first line that a script of libraries/common prints.

    Raises:
        RuntimeError: it failed.
    """
    path = library.folder.parent / "common" / f"{name}.py"
    run = subprocess.run(
        [str(library.binaries / "python"), str(path), *words],
        cwd=library.folder,
        env=library.variables(bench.redis.url, bench.records_file, more),
        capture_output=True,
        text=True,
        timeout=300,
    )
    # An old FluxQueue may abort after its work, at the end of the interpreter.
    if not run.stdout.startswith(("{", "no ")):
        called = " ".join([library.name, name, *words])
        raise RuntimeError(f"{called}: exit {run.returncode}: {run.stderr[-400:]}")
    return run.stdout.splitlines()[0]
