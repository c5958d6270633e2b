"""Tasks of which only a few run at once in one worker process (`max_per_worker`)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fluxqueue import FluxQueue
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

pytestmark = pytest.mark.versions

APP = """
import asyncio

@fluxqueue.task(max_per_worker=2)
def heavy(number):
    note(f"begin {number} {os.getpid()}")
    while not os.path.exists("go"):
        time.sleep(0.01)
    note(f"end {number} {os.getpid()}")

@fluxqueue.task(max_per_worker=2)
async def heavy_async(number):
    note(f"begin {number} {os.getpid()}")
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    note(f"end {number} {os.getpid()}")

@fluxqueue.task()
def light(number):
    note(f"light {number}")
"""


def most_at_once(folder: Path) -> dict[str, int]:
    """How many heavy tasks ran at the same time, for each process."""
    running: dict[str, int] = {}
    most: dict[str, int] = {}
    for words in map(str.split, read_notes(folder)):
        if words[0] in ("begin", "end"):
            pid = words[2]
            running[pid] = running.get(pid, 0) + (1 if words[0] == "begin" else -1)
            most[pid] = max(most.get(pid, 0), running[pid])
    return most


def count(folder: Path, kind: str) -> int:
    return sum(note.startswith(f"{kind} ") for note in read_notes(folder))


@pytest.mark.parametrize("name", ["heavy", "heavy_async"])
def test_tasks_over_their_cap_take_no_slot_and_let_others_pass(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    app = FluxQueue(redis_url)
    with System(tmp_path, redis_url, APP) as system:
        app.declare(name).enqueue_many([(number,) for number in range(20)])
        app.declare("light").enqueue_many([(number,) for number in range(20)])
        system.start_scheduler()
        for _ in range(2):
            system.start_worker(concurrency=4)
        wait_until(lambda: count(tmp_path, "begin") == 4)
        wait_until(lambda: count(tmp_path, "light") == 20)
        assert list(most_at_once(tmp_path).values()) == [2, 2]
        assert count(tmp_path, "begin") == 4
        (tmp_path / "go").touch()
        wait_until(lambda: count(tmp_path, "end") == 20)
        assert list(most_at_once(tmp_path).values()) == [2, 2]
        system.wait_until_settled()
        assert system.stats()["succeeded"] == 40
    app.close()


def test_many_tasks_over_their_cap_do_not_block_those_behind_them(
    redis_url: str, tmp_path: Path
) -> None:
    app = FluxQueue(redis_url)
    with System(tmp_path, redis_url, APP) as system:
        app.declare("heavy").enqueue_many([(number,) for number in range(5_000)])
        app.declare("light")(1)
        system.start_scheduler()
        system.start_worker(concurrency=4)
        held = []

        def reached() -> bool:
            claimed = system.waiting()
            held.append(sum(claimed[key] for key in claimed if "claimed" in key))
            return count(tmp_path, "light") == 1

        wait_until(reached)
        # The worker holds a bounded number of them; the others wait in Redis.
        assert max(held) <= 3_000
        assert count(tmp_path, "begin") == 2
        (tmp_path / "go").touch()
        wait_until(lambda: count(tmp_path, "end") == 5_000, timeout=90)
        system.wait_until_settled()
    app.close()


@pytest.mark.parametrize("name", ["heavy", "heavy_async"])
def test_a_drain_gives_back_the_tasks_over_their_cap(
    redis_url: str, tmp_path: Path, name: str
) -> None:
    app = FluxQueue(redis_url)
    with System(tmp_path, redis_url, APP) as system:
        app.declare(name).enqueue_many([(number,) for number in range(6)])
        worker = system.start_worker(concurrency=4)
        wait_until(lambda: count(tmp_path, "begin") == 2)
        worker.signal(signal.SIGTERM)
        # Those that run have their lease, and the worker holds nothing else.
        wait_until(lambda: sum(system.waiting().values()) == 6)
        wait_until(lambda: [n for key, n in system.waiting().items() if "claimed" in key] == [2])
        (tmp_path / "go").touch()
        assert worker.wait() == 0
        assert count(tmp_path, "begin") == count(tmp_path, "end") == 2
        assert sum(system.waiting().values()) == 4
    app.close()


def test_a_cancelled_task_over_its_cap_never_begins(redis_url: str, tmp_path: Path) -> None:
    app = FluxQueue(redis_url)
    with System(tmp_path, redis_url, APP) as system:
        handles = [app.declare("heavy").enqueue(number) for number in range(4)]
        system.start_scheduler()
        system.start_worker(concurrency=4)
        wait_until(lambda: count(tmp_path, "begin") == 2)
        assert handles[3].cancel() in ("cancelled", "requested")
        wait_until(lambda: system.stats().get("cancelled") == 1)
        (tmp_path / "go").touch()
        system.wait_until_settled()
        assert count(tmp_path, "end") == 3
        assert not any(note.startswith("begin 3 ") for note in read_notes(tmp_path))
    app.close()
