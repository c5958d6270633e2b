"""Unique tasks while clients and workers are killed and connections break: two tasks of one key
never run at the same time, and no lock outlives its task."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fluxqueue_core import key
from support.proxy import WAYS, Proxy, port_of
from support.system import System
from support.waiting import wait_until
from support.worker_process import read_notes

KEYS = 8
# The lock of a file ends with its process. A task that finds it taken runs beside another one.
APP = """
import fcntl

@fluxqueue.task(max_retries=50, retry_delay=0.01)
def work(number):
    with open(f"{os.environ['NOTES']}.{number}", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"overlap {number}")
            return
        note(f"began {number}")
        time.sleep(0.005)
        if int.from_bytes(os.urandom(1)) < 50:
            raise ValueError(number)
        note(f"ended {number}")
"""
# It calls until it is killed.
CLIENT = f"""
import sys
from fluxqueue import FluxQueue

work = FluxQueue(sys.argv[1]).declare("work", unique=True, max_retries=50)
number = 0
while True:
    work(number % {KEYS})
    if number % 3 == 0:
        work.enqueue_many([(key,) for key in range({KEYS})])
    number += 1
"""


def locks(system: System, queue: str = "default") -> list[bytes]:
    found: list[bytes] = system.redis.keys(key("unique", queue, "*"))
    return found


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_clients_and_workers_leave_no_lock_and_no_second_task(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    with System(tmp_path, redis_url, APP, lease=1) as system:
        system.start_scheduler()
        for _ in range(5):
            clients = [subprocess.Popen([sys.executable, "-c", CLIENT, redis_url]) for _ in "ab"]
            workers = [system.start_worker(concurrency=3) for _ in "ab"]
            before, more = len(read_notes(tmp_path)), chance.randrange(50, 200)
            wait_until(lambda: len(read_notes(tmp_path)) > before + more, 60)  # noqa: B023
            for process in clients:
                kill(process)
            for worker in workers:
                worker.kill()
        system.start_worker(concurrency=3)
        system.wait_until_settled()
        notes = read_notes(tmp_path)
        assert [note for note in notes if note.startswith("overlap")] == []
        assert {f"ended {number}" for number in range(KEYS)} <= set(notes)
        assert locks(system) == []


@pytest.mark.parametrize("way", WAYS)
def test_connections_that_break_leave_no_lock_and_no_second_task(
    tmp_path: Path, redis_url: str, chance: random.Random, way: str
) -> None:
    port, database = port_of(redis_url)
    with (
        Proxy(port) as proxy,
        System(tmp_path, redis_url, APP, worker_url=f"{proxy.url}/{database}") as system,
    ):
        system.start_scheduler()
        client = subprocess.Popen([sys.executable, "-c", CLIENT, redis_url])
        system.start_worker(concurrency=3)
        for _ in range(8):
            before, more = len(read_notes(tmp_path)), chance.randrange(10, 60)
            wait_until(lambda: len(read_notes(tmp_path)) > before + more, 60)  # noqa: B023
            proxy.cut_all(way)
        kill(client)
        system.wait_until_settled()
        assert [note for note in read_notes(tmp_path) if note.startswith("overlap")] == []
        assert locks(system) == []
