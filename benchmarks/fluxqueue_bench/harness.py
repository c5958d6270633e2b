"""A Redis without persistence, producers and workers as processes, records."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from fluxqueue.embedded import EmbeddedRedis

from . import machine
from .commands import Commands, counted
from .record import RECORD

FOLDER = Path(__file__).parents[1]


class Bench:
    """One run's Redis and files. Use it as a context manager.

    Attributes:
        variables: added to the environment of every process.
        cores: where producers and workers run; None leaves it to the system.
        worker_python: the interpreter of workers and schedulers.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.worker_python = sys.executable
        self.cores: set[int] | None = None
        self._killed: set[int] = set()

    def __enter__(self) -> Bench:
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._folder = tempfile.TemporaryDirectory(prefix="fluxqueue-bench-", dir=memory)
        self.records_file = Path(self._folder.name, "records")
        options = {"appendonly": "no", "save": "", "databases": "64"}
        self.redis = EmbeddedRedis(options=options).start()
        self.client: redis.Redis = redis.Redis.from_url(self.redis.url)
        self.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.redis.stop()
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(FOLDER),
            "BENCH_URL": self.redis.url,
            "BENCH_RECORDS": str(self.records_file),
            "FLUXQUEUE_LOG_LEVEL": "error",
            **self.variables,
        }

    @contextmanager
    def pinned(self, *, together: bool = False) -> Iterator[None]:
        """Redis on the first core, all that is started meanwhile on the second, or
        on the first as well.

        Raises:
            RuntimeError: this machine has one core only, and two are needed.
        """
        everywhere = os.sched_getaffinity(0)
        first, *others = sorted(everywhere)
        if not together and not others:
            raise RuntimeError("two cores are needed to pin Redis and its client to one each")
        machine.pin(self.redis.pid, {first})
        self.cores = {first if together else others[0]}
        try:
            yield
        finally:
            machine.pin(self.redis.pid, everywhere)
            self.cores = None

    def _placed(self, *command: str) -> list[str]:
        if self.cores is None:
            return list(command)
        return ["taskset", "--cpu-list", ",".join(map(str, self.cores)), *command]

    def reset(self) -> None:
        """An empty Redis and no records."""
        self.client.flushall()
        self.client.config_resetstat()
        self.forget_records()

    def forget_records(self) -> None:
        """No records, whatever Redis holds."""
        self.records_file.write_bytes(b"")

    def _output(self, *command: str) -> str:
        run = subprocess.run(
            self._placed(*command), env=self.environment, cwd=FOLDER, capture_output=True, text=True
        )
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {run.returncode}: {run.stderr}")
        return run.stdout

    def python(self, *arguments: str) -> str:
        """Returns the output of a separate Python process."""
        return self._output(sys.executable, *arguments)

    def enqueue(self, mode: str, n: int, value: float = 0) -> float:
        """Seconds that a producer process took for n tasks; see `enqueue`."""
        return float(self.python("-m", "fluxqueue_bench.enqueue", mode, str(n), str(value)))

    def lpush_limit(self, n: int, message: bytes, together: int = 1) -> float:
        """Messages a second, of n, that redis-benchmark reaches with one client and
        `together` messages per LPUSH."""
        calls = str(n // together)
        command = ["redis-benchmark", "-p", str(self.redis.port), "-c", "1", "-n", calls, "--csv"]
        messages = [message.decode()] * together
        printed = self._output(*command, "LPUSH", "fluxqueue:{bench}:pending", *messages)
        # "command","rps" and six latencies; the command itself has quotes and commas.
        return float(printed.splitlines()[-1].rsplit(",", 7)[1].strip('"')) * together

    @contextmanager
    def worker(self, *flags: str, app: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process at default settings but for `flags` and its log level."""
        if app is None:
            app = "fluxqueue_bench.async_tasks" if "async" in flags else "fluxqueue_bench.tasks"
        with self.process("fluxqueue_worker", "-t", app, "-r", self.redis.url, *flags) as process:
            yield process

    @contextmanager
    def scheduler(self) -> Iterator[subprocess.Popen[bytes]]:
        """A scheduler process at default settings but for its log level."""
        with self.process("fluxqueue_scheduler", "-r", self.redis.url) as process:
            yield process

    @contextmanager
    def process(self, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self._placed(self.worker_python, "-m", module, *arguments),
            env=self.environment,
            cwd=FOLDER,
        )
        try:
            yield process
        finally:
            process.terminate()
            if process.wait(40) != 0 and process.pid not in self._killed:
                raise RuntimeError(f"{module} ended with {process.returncode}")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kills a process by SIGKILL and waits for its end, which fails no measure."""
        self._killed.add(process.pid)
        process.kill()
        process.wait(40)

    def records(self) -> list[tuple[int, int, int]]:
        """(number, end in ns, process) of each task that has run, in order of their ends."""
        data = self.records_file.read_bytes()
        return list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))

    def count(self) -> int:
        """How many tasks have run."""
        return self.records_file.stat().st_size // RECORD.size

    def wait_for(self, n: int, seconds: float = 120) -> None:
        """Until n tasks have run."""
        deadline = time.monotonic() + seconds
        while self.count() < n:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {self.count()} of {n} tasks have run")
            time.sleep(0.002)

    def commands(self) -> Commands:
        """The commands that Redis got since `reset`, or since its statistics were reset."""
        stats: dict[str, Any] = self.client.info("commandstats")
        return counted(stats)
