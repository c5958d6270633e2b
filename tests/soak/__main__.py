"""Runs everything at full rate, with failures, and measures memory.

Exits with 1 if memory grows, if a key is left over, or if the counts don't add up.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chaos.remains import read_remains, waiting
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from redis import Redis
from support.logging_process import LoggingProcess
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

from .memory import MIB, Series, rss
from .waits import perform

QUEUE = "default"
REDIS = "Redis, but for the dead tasks"
WORKERS, SCHEDULERS = 2, 2
MOST_WAITING = 20_000
# They are kept for people to look at, up to a bound that no run reaches.
DEAD = ("dead", "dead:messages", "dead:reasons")
INTERVAL = 1.0
# Seconds for which results are kept that are waited for through killed connections.
RESULT_TTL = 120.0
# The first part of a run is not looked at.
WARM_UP = 1 / 3

APP = """
@fluxqueue.task()
def work(number, text):
    pass

@fluxqueue.task()
async def work_async(number, text):
    pass

@fluxqueue.task_with_context(retry_delay=1)
def flaky(ctx: Context, number, text):
    if ctx.metadata.retries == 0:
        raise RuntimeError("at first it fails")

@fluxqueue.task(max_retries=1, retry_delay=1)
def doomed(number, text):
    raise RuntimeError("it always fails")
"""


class Soak:
    """One run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.server = EmbeddedRedis(folder / "redis")
        stack.callback(self.server.stop)
        url = self.server.start().url
        self.redis: Any = stack.enter_context(Redis(port=self.server.port))
        self.schedulers = [
            stack.enter_context(SchedulerProcess(folder, url, log_level="error"))
            for _ in range(SCHEDULERS)
        ]
        self.workers = [
            stack.enter_context(WorkerProcess(folder, url, APP, log_level="error"))
            for _ in range(WORKERS)
        ]
        options = {"most_waiting": MOST_WAITING}
        variables = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        self.client = stack.enter_context(
            LoggingProcess(folder, url, "soak.load", options, variables)
        )
        self.series = {name: Series(name) for name in [REDIS, *self.pids()]}

    def pids(self) -> dict[str, int]:
        """Name and id of every process but Redis."""
        found = {f"worker {n}": w.pid for n, w in enumerate(self.workers, 1)}
        found |= {f"scheduler {n}": s.pid for n, s in enumerate(self.schedulers, 1)}
        return found | {"client": self.client.pid}

    def sample(self) -> None:
        """One look at every process.

        Raises:
            RuntimeError: one has ended.
        """
        now = time.monotonic()
        for process in (*self.workers, *self.schedulers, self.client):
            if process.process.poll() is not None:
                raise RuntimeError(f"a process has ended: {process.output()}")
        for name, pid in self.pids().items():
            self.series[name].samples.append((now, rss(pid)))
        used = float(self.redis.info("memory")["used_memory"])
        dead = sum(self.redis.memory_usage(key(kind, QUEUE)) or 0 for kind in DEAD)
        self.series[REDIS].samples.append((now, used - dead))

    def finish(self) -> tuple[int, list[str]]:
        """Ends everything; how many tasks there were, and what is wrong."""
        wrong = []
        if self.client.stop() != 0:
            wrong.append(f"the client failed: {self.client.output()}")
        wait_until(lambda: not waiting(self.redis, QUEUE), timeout=120, what="the end of all tasks")
        for process in [*self.workers, *self.schedulers]:
            if (code := process.stop()) != 0:
                wrong.append(f"ended with {code}: {process.output()}")
        if keys := read_remains(self.redis, QUEUE).keys:
            wrong.append(f"keys are left over: {keys}")
        count = int(self.client.named("soak.enqueued")[0]["count"])
        stats = {k.decode(): int(v) for k, v in self.redis.hgetall(key("stats", QUEUE)).items()}
        ended = stats.get("succeeded", 0) + stats.get("dead", 0)
        if ended != count:
            wrong.append(f"{count} tasks were enqueued and {ended} have ended: {stats}")
        return count, wrong

    def report(self, seconds: float, count: int) -> list[str]:
        """Prints the table, and returns what has grown."""
        warm_up = seconds * WARM_UP
        print(f"\n{count:,} tasks in {seconds:.0f} s, {count / seconds:,.0f}/s\n")
        print("| memory of | at first, MiB | at the end, MiB | slope, MiB/hour | growth, MiB |")
        print("|---|---|---|---|---|")
        grown = []
        for series in self.series.values():
            settled = series.settled(warm_up)
            first, last = settled[0][1] / MIB, settled[-1][1] / MIB
            slope = series.slope(warm_up) * 3600 / MIB
            growth = series.growth(warm_up) / MIB
            print(f"| {series.name} | {first:.1f} | {last:.1f} | {slope:+.2f} | {growth:+.2f} |")
            if not series.is_flat(warm_up):
                allowed = series.allowed(warm_up) / MIB
                grown.append(f"{series.name} has grown by {growth:.1f} MiB, {allowed:.1f} may be")
        return grown


def wait_for_results(results: int, kills: int) -> int:
    """Waits through killed connections; see `waits.py`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fluxqueue-soak-") as name:
        wrong = perform(Path(name), results, kills, RESULT_TTL, random.Random(), to_the_end=True)
    for line in wrong:
        print(f"violation: {line}")
    print(f"\n`scripts/soak --results {results} --kills {kills}`, ", end="")
    print(f"{time.monotonic() - started:.0f} s, {len(wrong)} violations")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--results",
        type=int,
        metavar="N",
        help="instead: waits for N results in one process while its connections are killed",
    )
    parser.add_argument("--kills", type=int, default=1_000, metavar="N", help="with --results")
    options = parser.parse_args()
    if options.results:
        return wait_for_results(options.results, options.kills)
    seconds = options.minutes * 60
    with (
        tempfile.TemporaryDirectory(prefix="fluxqueue-soak-") as name,
        ExitStack() as stack,
    ):
        soak = Soak(Path(name), stack)
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            soak.sample()
            time.sleep(INTERVAL)
        count, wrong = soak.finish()
        wrong += soak.report(passed, count)
    for line in wrong:
        print(f"violation: {line}")
    print(f"\n`scripts/soak --minutes {options.minutes:g}`, {len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
