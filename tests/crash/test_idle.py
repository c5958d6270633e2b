"""A worker and a scheduler that have nothing to do use next to no CPU."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support.logging_process import LoggingProcess
from support.system import System
from support.waiting import wait_until, wait_until_past

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep(60 if number else 0)

@fluxqueue.task(queue="other")
async def other(number):
    with ledger.run(number):
        pass
"""
WATCHED = 3.0
# CPU seconds in that time; a loop that spins would use all of it.
MOST = 0.1 * WATCHED


def cpu_used(*processes: LoggingProcess) -> list[float]:
    """The CPU seconds that each of them uses in the time in which they are watched."""
    used = [process.cpu_seconds() for process in processes]
    wait_until_past(time.monotonic() + WATCHED)
    return [now.cpu_seconds() - before for now, before in zip(processes, used, strict=True)]


@pytest.mark.parametrize("state", ["never used", "used", "draining", "Redis down", "paused"])
def test_worker_and_scheduler_do_not_spin(tmp_path: Path, state: str) -> None:
    with EmbeddedRedis() as server, System(tmp_path, server.url, APP, lease=3) as system:
        scheduler = system.start_scheduler()
        worker = system.start_worker(queue="default,other", concurrency=2)
        worker.wait_for("worker.connected", count=2)
        if state in ("used", "draining"):
            system.enqueue("work", [0] * 50)
            system.wait_until_ended([0])
            system.wait_until_settled()
        if state == "draining":
            system.enqueue("work", [1, 2, 3])
            wait_until(lambda: len(system.ledger.started()) == 3)
            worker.signal(signal.SIGTERM)
            worker.wait_for("worker.draining")
        if state == "Redis down":
            server.kill()
            worker.wait_for("worker.disconnected", count=2)
            scheduler.wait_for("redis.unavailable")
        if state == "paused":
            for queue in ("default", "other"):
                system.redis.set(key("paused", queue), "1")
        assert max(cpu_used(worker, scheduler)) < MOST
