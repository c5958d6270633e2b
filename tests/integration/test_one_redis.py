"""One Redis for a worker and its application, with real workers: which one they use, and
the lines that a worker writes about its queues."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from redis import Redis
from support.logging_process import LoggingProcess
from support.waiting import wait_until
from support.worker_process import read_notes

APP = """
import os, sys
from fluxqueue import FluxQueue

fluxqueue = FluxQueue({url!r})

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\\n")

@fluxqueue.task()
def first(number):
    second(number)

@fluxqueue.task(queue="mail")
def second(number):
    note(f"sync {{number}}")
    child = "import os, asyncio, app; asyncio.run(app.third(%d))" % number
    os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", child)

@FluxQueue().task()  # names no URL
async def third(number):
    note(f"async {{number}}")
"""


@pytest.fixture
def other_server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def worker(folder: Path, url: str, *, variable: str = "", **options: Any) -> LoggingProcess:
    """A worker of `APP`, whose code has that URL."""
    (folder / "app.py").write_text(APP.format(url=url))
    variables = {"NOTES": str(folder / "notes"), "FLUXQUEUE_REDIS_URL": variable}
    options = {"tasks-module-path": "app", **options}
    return LoggingProcess(folder, variable, "fluxqueue_worker", options, variables)


def test_a_worker_without_a_url_serves_the_redis_of_the_code(
    tmp_path: Path, redis_url: str
) -> None:
    with worker(tmp_path, redis_url, queue="mail") as running:
        running.wait_for("worker.connected")
        FluxQueue(redis_url).task(name="second", queue="mail")(lambda number: None)(1)
        wait_until(lambda: read_notes(tmp_path) == ["sync 1"], what=running.output)
        [line] = running.named("worker.started")
        assert redis_url.startswith(line["redis"])
        assert running.named("worker.redis_replaced") == []
        # The child process of the task has no URL, and so another default.
        assert running.stop() == 0


@pytest.mark.parametrize("by", ["flag", "variable"])
@pytest.mark.parametrize("processes", [1, 2])
def test_tasks_use_the_redis_of_their_worker(
    tmp_path: Path, redis_url: str, other_server: EmbeddedRedis, by: str, processes: int
) -> None:
    """Also those that a child process of a task enqueues, if they name no URL."""
    in_code = other_server.url.replace("redis://", "redis://default:geheim@")
    options: dict[str, Any] = {"queue": "*", "processes": processes}
    where: dict[str, Any] = {"variable": redis_url}
    if by == "flag":
        where = {"redis_url": redis_url}
    with worker(tmp_path, in_code, **where, **options) as running:
        running.wait_for("worker.connected")
        FluxQueue(redis_url).task(name="first")(lambda number: None)(7)
        wait_until(lambda: read_notes(tmp_path) == ["sync 7", "async 7"], what=running.output)
        running.wait_for("task.done", count=3)
        running.wait_for("worker.started", count=processes)
        [line] = running.named("worker.redis_replaced")
        assert line["in_code"] == [f"{other_server.url}/0"]
        assert redis_url.startswith(line["redis"])
        assert running.stop() == 0
    assert "geheim" not in running.output()
    with Redis.from_url(other_server.url) as untouched:
        assert untouched.dbsize() == 0


def test_a_worker_names_the_queues_that_it_does_not_serve(tmp_path: Path, redis_url: str) -> None:
    with worker(tmp_path, redis_url, variable=redis_url) as running:
        line = running.wait_for("worker.queues_not_served")
        assert (line["level"], line["queues"]) == ("warning", ["mail"])
        assert "-q '*'" in line["remedy"]
        running.wait_for("worker.started", queues=["default"])


def test_a_worker_without_a_url_refuses_code_that_names_two(tmp_path: Path, redis_url: str) -> None:
    source = APP.format(url=redis_url) + "third.broker.move('redis://127.0.0.1:1')\n"
    (tmp_path / "app.py").write_text(source)
    command = [sys.executable, "-m", "fluxqueue_worker", "-t", "app"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"FLUXQUEUE_REDIS_URL": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [said] = done.stderr.splitlines()
    assert "(queue 'default')" in said and "redis://127.0.0.1:1/0" in said
    assert json.dumps(redis_url)[1:-1] in said
