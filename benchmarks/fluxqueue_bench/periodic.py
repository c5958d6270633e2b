"""`scripts/bench periodic`: how late the runs of ten thousand periodic tasks are, and what they
cost, with one scheduler.

The lateness is the one that the script `tick` writes into the history: from the moment until the
run is in the queue, by the clock of Redis. No worker runs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue.periodic import read
from fluxqueue_core import key
from redis import Redis

from . import machine

ENTRIES = 10_000
QUEUE = "periodic"
# Seconds to let the scheduler read all entries before anything is counted.
WARM_UP = 5.0
# Seconds until the histories have all runs.
FILING = 2.0
# Entries that one call schedules.
AT_ONCE = 500


def _schedule(app: FluxQueue, shape: str, every: int) -> None:
    """Schedules the entries: with their moments spread over the interval, or all at once."""

    @app.task(queue=QUEUE)
    def work(number: int) -> None: ...

    begin = datetime.now(UTC).replace(microsecond=0)
    made = []
    for number in range(ENTRIES):
        shift = timedelta(milliseconds=every * 1_000 * number // ENTRIES)
        start = begin + (shift if shape == "spread" else timedelta())
        cron = "* * * * *" if shape == "cron" else None
        options: Any = {"start": start}
        if cron is None:
            options["every"] = every
        entry = read(f"entry-{number}", work.call(number), cron, options)
        made.append(entry.scheduled(declared=False))
    for at in range(0, ENTRIES, AT_ONCE):
        flat = [part for each in made[at : at + AT_ONCE] for part in each]
        app.broker.producer.schedule(QUEUE, [b"set", *flat])


@contextlib.contextmanager
def _scheduler(url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "FLUXQUEUE_REDIS_URL": url}
    command = [sys.executable, "-m", "fluxqueue_scheduler", "--log-level", "warning"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _lateness(client: Any) -> list[int]:
    """The lateness of all runs in the history, in ms, sorted."""
    histories = client.hvals(key("periodic:runs", QUEUE))
    return sorted(int(run.split(b":")[1]) for history in histories for run in history.split())


def _percentile(values: list[int], part: float) -> int:
    return values[min(int(len(values) * part), len(values) - 1)]


def measure(shape: str, every: int, seconds: float) -> dict[str, float]:
    """Measures one shape.

    Args:
        shape: `spread` over the interval, all `at once`, or all at once by `cron`.
        every: the interval, in seconds.
        seconds: how long to count.
    """
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(appendfsync="no") as server:
        client = Redis.from_url(server.url)
        client.sadd(key("queues"), QUEUE)
        app = FluxQueue(server.url)
        _schedule(app, shape, every)
        with _scheduler(server.url, Path(folder)) as scheduler:
            time.sleep(WARM_UP)
            client.delete(key("periodic:runs", QUEUE))
            began = time.monotonic()
            before = [machine.cpu_seconds(pid) for pid in (scheduler.pid, server.pid)]
            while time.monotonic() - began < seconds:
                time.sleep(0.5)
                client.delete(key("pending", QUEUE))
            after = [machine.cpu_seconds(pid) for pid in (scheduler.pid, server.pid)]
            took = time.monotonic() - began
            time.sleep(FILING)
        late = _lateness(client)
        client.close()
        app.close()
    return {
        "runs": len(late),
        "p50 ms": _percentile(late, 0.5),
        "p99 ms": _percentile(late, 0.99),
        "longest ms": late[-1],
        "scheduler CPU %": 100 * (after[0] - before[0]) / took,
        "Redis CPU %": 100 * (after[1] - before[1]) / took,
    }


def main(quick: bool) -> int:
    """Prints a table."""
    print(", ".join(f"{name} {value}" for name, value in machine.describe().items()))
    shapes = [("spread", 60, 60.0), ("spread", 10, 30.0), ("at once", 10, 30.0), ("cron", 60, 70.0)]
    rows = {
        f"{shape}, every {every} s": measure(shape, every, seconds)
        for shape, every, seconds in (shapes[1:3] if quick else shapes)
    }
    names = list(next(iter(rows.values())))
    print(f"\n| {ENTRIES} periodic tasks | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[each]:.6g}' for each in names)} |")
    return 0
