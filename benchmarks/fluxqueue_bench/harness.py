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

from fluxqueue.embedded import EmbeddedRedis

from .tasks import RECORD

FOLDER = Path(__file__).parents[1]


class Bench:
    """One run's Redis and files. Use it as a context manager.

    Attributes:
        variables: added to the environment of every process.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}

    def __enter__(self) -> Bench:
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._folder = tempfile.TemporaryDirectory(prefix="fluxqueue-bench-", dir=memory)
        self.records_file = Path(self._folder.name, "records")
        self.redis = EmbeddedRedis(options={"appendonly": "no", "save": ""}).start()
        self.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self.redis.stop()
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(FOLDER),
            "BENCH_URL": self.redis.url,
            "BENCH_RECORDS": str(self.records_file),
            "FLUXQUEUE_LOG_LEVEL": "warning",
            **self.variables,
        }

    def command(self, *words: str) -> None:
        """Sends one command to the run's Redis."""
        subprocess.run(
            ["redis-cli", "-p", str(self.redis.port), *words], check=True, capture_output=True
        )

    def reset(self) -> None:
        """An empty Redis and no records."""
        self.command("FLUSHALL")
        self.forget_records()

    def forget_records(self) -> None:
        """No records, whatever Redis holds."""
        self.records_file.write_bytes(b"")

    def enqueue(self, mode: str, n: int) -> float:
        """Seconds that a producer process took for n tasks."""
        run = subprocess.run(
            [sys.executable, "-m", "fluxqueue_bench.enqueue", mode, str(n)],
            env=self.environment,
            cwd=FOLDER,
            check=True,
            capture_output=True,
            text=True,
        )
        return float(run.stdout)

    def lpush_limit(self, n: int, size: int) -> float:
        """LPUSH a second that redis-benchmark reaches with one client."""
        run = subprocess.run(
            ["redis-benchmark", "-p", str(self.redis.port), "-t", "lpush", "-c", "1"]
            + ["-n", str(n), "-d", str(size), "--csv"],
            check=True,
            capture_output=True,
            text=True,
        )
        return float(run.stdout.splitlines()[-1].split(",")[1].strip('"'))

    @contextmanager
    def worker(
        self, *flags: str, app: str = "fluxqueue_bench.tasks"
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process at default settings but for `flags` and its log level."""
        process = subprocess.Popen(
            [sys.executable, "-m", "fluxqueue_worker", "-t", app] + ["-r", self.redis.url, *flags],
            env=self.environment,
            cwd=FOLDER,
        )
        try:
            yield process
        finally:
            process.terminate()
            if process.wait(40) != 0:
                raise RuntimeError(f"the worker ended with {process.returncode}")

    def records(self) -> list[tuple[int, int]]:
        """(number, end in ns) of each task that has run, in order of their ends."""
        data = self.records_file.read_bytes()
        return list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))

    def wait_for(self, n: int, seconds: float = 120) -> None:
        """Until n tasks have run."""
        deadline = time.monotonic() + seconds
        while self.records_file.stat().st_size < n * RECORD.size:
            if time.monotonic() > deadline:
                ran = self.records_file.stat().st_size // RECORD.size
                raise TimeoutError(f"only {ran} of {n} tasks have run")
            time.sleep(0.005)
