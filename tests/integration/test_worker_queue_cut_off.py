"""A queue that Redis does not serve does not delay the worker's other queues.

The worker's user loses its rights to one of two queues: so does a queue of a
cluster whose master is down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from redis import Redis
from support.waiting import seconds_since, wait_until
from support.worker_process import WorkerProcess

APP = """
from redis import Redis

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)

@fluxqueue.task(queue="gone")
def hold():
    note("held")
    wait_for("open-gone")

@fluxqueue.task(queue="gone")
def quick():
    pass

@fluxqueue.task(queue="gone")
def cut_off(url):
    # From here, while what has been claimed ahead still waits behind this task.
    with Redis.from_url(url) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", "resetkeys", "~*{near}*", "~*queues")
        admin.execute_command("CLIENT", "KILL", "USER", "worker")
    note("cut")
    wait_for("open-gone")

@fluxqueue.task(queue="near")
def stay():
    note("stays")
    wait_for("open-near")

@fluxqueue.task(queue="near")
def short():
    time.sleep(0.005)
"""


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(appendfsync="no") as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedRedis) -> Iterator[Any]:
    with Redis.from_url(server.url, decode_responses=True) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "+@all", "~*")
        yield admin


def worker(folder: Path, server: EmbeddedRedis, **options: Any) -> WorkerProcess:
    url = server.url.replace("://", "://worker:secret@")
    return WorkerProcess(folder, url, APP, queue="near,gone", **options)


def tasks(server: EmbeddedRedis) -> dict[str, Any]:
    client = FluxQueue(server.url)

    def argument(url: str) -> None: ...
    def none() -> None: ...

    names = {"hold": "gone", "quick": "gone", "cut_off": "gone", "stay": "near", "short": "near"}
    return {
        name: client.task(queue=queue, name=name)(argument if name == "cut_off" else none)
        for name, queue in names.items()
    }


def succeeded(admin: Any, queue: str) -> int:
    return int(admin.hget(key("stats", queue), "succeeded") or 0)


def test_outcomes_of_others_leave_at_once_while_one_has_nowhere_to_go(
    tmp_path: Path, server: EmbeddedRedis, admin: Any
) -> None:
    task = tasks(server)
    with worker(tmp_path, server, concurrency=4) as process:
        task["cut_off"](server.url)
        process.wait_for("worker.disconnected")
        task["stay"]()
        wait_until(lambda: sorted(process.notes()) == ["cut", "stays"], what=process.output)
        (tmp_path / "open-gone").touch()
        process.wait_for("task.done")
        took = []
        for number in range(8):
            began = time.monotonic()
            task["short"]()
            wait_until(lambda: succeeded(admin, "near") > number, what=process.output)  # noqa: B023
            took.append(seconds_since(began))
        # Of 5 ms each. An outcome that is not sent waits for the next look, 250 ms later.
        assert sorted(took)[2] < 0.1, took
        assert succeeded(admin, "gone") == 0
        admin.execute_command("ACL", "SETUSER", "worker", "~*")
        (tmp_path / "open-near").touch()
        wait_until(lambda: succeeded(admin, "gone") == 1, what=process.output)
        assert process.stop() == 0


def test_claimed_tasks_that_may_no_longer_begin_take_no_slot_from_others(
    tmp_path: Path, server: EmbeddedRedis, admin: Any
) -> None:
    task = tasks(server)
    for _ in range(3000):
        task["quick"]()
    task["cut_off"](server.url)
    task["hold"]()
    for _ in range(1000):
        task["quick"]()
    with worker(tmp_path, server, concurrency=2, lease=1) as process:
        wait_until(lambda: sorted(process.notes()) == ["cut", "held"], what=process.output)
        time.sleep(1.5)
        (tmp_path / "open-gone").touch()
        task["short"]()
        wait_until(lambda: succeeded(admin, "near") == 1, what=process.output, timeout=10)
        admin.execute_command("ACL", "SETUSER", "worker", "~*")
        # No scheduler runs: the worker itself has given them back.
        wait_until(lambda: succeeded(admin, "gone") == 4002, what=process.output)
        assert process.stop() == 0
