"""Worker processes under a supervisor and under load: a process is killed, the supervisor
is killed, processes are replaced and ended."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support import apps
from support.raw_messages import delayed, pending
from support.system import System
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = apps.work(0.01)
TASKS = range(3000)
# A lease so long that a task comes back only if the worker releases it.
NEVER = 600
OPTIONS: dict[str, Any] = {"concurrency": 8, "processes": 2, "log_level": "info"}


def children(worker: WorkerProcess) -> list[int]:
    path = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def check_nothing_was_spent(system: System) -> None:
    parts = [*pending(system.redis), *(parts for parts, _ in delayed(system.redis))]
    assert {(p["retries"], p["deliveries"]) for p in parts} <= {(0, 0)}
    assert not {"retried", "rescued", "dead"} & system.stats().keys()
    assert system.ledger.run_twice() == set()


def test_the_supervisor_replaces_a_killed_process(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=2) as system:
        system.start_scheduler().wait_for("scheduler.started")
        worker = system.start_worker(**OPTIONS)
        system.enqueue("work", TASKS[:-500])
        wait_until(lambda: len({run.pid for run in system.ledger.runs()}) == 2)
        system.wait_for_ends(chance.randrange(50, 1500))
        victim = chance.choice(children(worker))
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        worker.wait_for("process.died", pid=victim, signal="SIGKILL")
        # On a slow machine the first tasks may end before the new process serves.
        worker.wait_for("worker.connected", count=3)
        system.enqueue("work", TASKS[-500:])
        system.wait_until_ended(TASKS)
        system.wait_until_settled()
        assert len({run.pid for run in system.ledger.runs()}) == 3
        assert worker.stop() == 0
        assert system.ledger.run_twice_unduly(victim, killed) == set()
        assert system.stats()["succeeded"] == len(TASKS)


@pytest.mark.parametrize("name", ["work", "work_async"])
def test_processes_drain_when_their_supervisor_is_killed(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str
) -> None:
    with System(tmp_path, redis_url, APP, lease=NEVER) as system:
        worker = system.start_worker(**OPTIONS)
        system.enqueue(name, TASKS)
        system.wait_for_ends(chance.randrange(50, 1500))
        orphans = children(worker)
        assert len(orphans) == 2
        worker.kill()
        wait_until(lambda: all(map(is_gone, orphans)))
        left = system.waiting()
        assert left.keys() <= {"pending"}
        assert left.get("pending", 0) == len(system.ledger.lost(TASKS))
        check_nothing_was_spent(system)


def test_starting_processes_end_when_their_supervisor_is_killed(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    """At any point of the start: before they catch signals, or while the application loads."""
    for _ in range(8):
        with System(tmp_path, redis_url, APP, lease=NEVER) as system:
            worker = system.start_worker(**OPTIONS)
            orphans = wait_until(lambda worker=worker: children(worker))  # type: ignore[misc]
            time.sleep(chance.random() * 0.4)  # a random moment of the start
            orphans = children(worker)
            worker.kill()
            wait_until(lambda orphans=orphans: all(map(is_gone, orphans)))  # type: ignore[misc]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_can_be_ended_under_load(
    tmp_path: Path, redis_url: str, chance: random.Random, number: signal.Signals
) -> None:
    with System(tmp_path, redis_url, APP, lease=NEVER) as system:
        first = system.start_worker(**OPTIONS)
        system.enqueue("work", TASKS)
        system.wait_for_ends(chance.randrange(50, 1500))
        first.signal(number)
        assert first.wait() == 0
        assert set(system.waiting()) <= {"pending"}
        second = system.start_worker(**OPTIONS)
        system.wait_until_ended(TASKS)
        system.wait_until_settled()
        assert second.stop() == 0
        check_nothing_was_spent(system)
        assert system.stats() == {"succeeded": len(TASKS)}


@pytest.mark.parametrize("name", ["work", "work_async"])
def test_processes_are_replaced_under_load(tmp_path: Path, redis_url: str, name: str) -> None:
    with System(tmp_path, redis_url, APP, lease=NEVER) as system:
        worker = system.start_worker(max_tasks=400, **OPTIONS)
        system.enqueue(name, TASKS)
        system.wait_until_ended(TASKS)
        system.wait_until_settled()
        assert worker.stop() == 0
        per_process: dict[int, int] = {}
        for run in system.ledger.runs():
            per_process[run.pid] = per_process.get(run.pid, 0) + 1
        assert len(per_process) >= len(TASKS) / 400
        assert max(per_process.values()) <= 400
        assert worker.named("process.died") == []
        check_nothing_was_spent(system)
        assert system.stats() == {"succeeded": len(TASKS)}
