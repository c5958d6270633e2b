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
from fluxqueue_core import key
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
        # That of `third`.
        [line] = running.named("worker.redis_replaced")
        assert (line["level"], line["in_code"]) == ("info", ["redis://127.0.0.1:6379/0"])
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


LATER = """
from fluxqueue import FluxQueue

unnamed, named, other = FluxQueue(), FluxQueue({url!r}), FluxQueue({other!r})

def enqueue(number):
    for each in (unnamed, named, other):
        each.task(name="note", queue="notes")(lambda number: None)(number)
"""
IMPORTING = """
from fluxqueue import FluxQueue
from fluxqueue.fluxqueue_core import FluxQueueCore
{first}

fluxqueue = FluxQueue({url!r})

@fluxqueue.task()
def work(number):
    import later
    later.enqueue(number)
    FluxQueue().task(name="note", queue="notes")(lambda number: None)(number)
    FluxQueueCore()._enqueue("note", "notes", 3, number)
"""


@pytest.mark.parametrize("by", ["code", "flag", "variable"])
@pytest.mark.parametrize("first", ["", "import later"], ids=["in a task", "at the start"])
def test_objects_outside_the_tasks_module_use_the_redis_of_the_worker(
    tmp_path: Path, redis_url: str, redis: Any, other_server: EmbeddedRedis, by: str, first: str
) -> None:
    """One of them names the URL of the tasks' module, and one names another place."""
    in_code = redis_url if by == "code" else "redis://127.0.0.1:1?timeout=0.2"
    other = other_server.url + "/1"
    (tmp_path / "later.py").write_text(LATER.format(url=in_code, other=other))
    (tmp_path / "app.py").write_text(IMPORTING.format(url=in_code, first=first))
    options: dict[str, Any] = {"tasks-module-path": "app"}
    if by == "flag":
        options["redis-url"] = redis_url
    variable = redis_url if by == "variable" else ""
    with LoggingProcess(tmp_path, variable, "fluxqueue_worker", options) as running:
        running.wait_for("worker.connected")
        FluxQueue(redis_url).task(name="work")(lambda number: None)(7)
        running.wait_for("task.done")
        lines = running.named("worker.object_elsewhere")
        assert running.stop() == 0
    sent = [json.loads(raw)["args"] for raw in redis.lrange(key("pending", "notes"), 0, -1)]
    assert sent == [[7]] * 4
    with Redis.from_url(other) as server:
        assert server.llen(key("pending", "notes")) == 1
    assert [(line["level"], line["redis"]) for line in lines] == [("info", other)]
    replaced = [line["in_code"] for line in running.named("worker.redis_replaced")]
    default = ["redis://127.0.0.1:6379/0"]
    assert replaced == ([default] if by == "code" else [["redis://127.0.0.1:1/0"]])


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
