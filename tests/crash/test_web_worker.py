"""Web servers that run a worker: they are killed and stopped in the middle of tasks."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from fluxqueue_core import key
from redis import Redis
from support.raw_messages import pending, push
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.web_process import WebProcess
from support.worker_process import PRELUDE, read_notes

APP = (
    PRELUDE
    + """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from fluxqueue.starlette import lifespan

@fluxqueue.task()
def work(number):
    note(f"begin {number} {os.getpid()}")
    time.sleep(0.02)
    note(f"end {number} {os.getpid()}")

@fluxqueue.task()
async def hold(number):
    import asyncio
    note(f"begin {number} {os.getpid()}")
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)
    note(f"end {number} {os.getpid()}")

async def place(request):
    count = int(request.query_params["count"])
    await work.enqueue_many_async((number,) for number in range(count))
    return PlainTextResponse("placed")

app = Starlette(
    routes=[Route("/tasks", place, methods=["POST"])],
    lifespan=lifespan(fluxqueue, run_worker=True, concurrency=2, lease=1),
)
"""
)


def ended(folder: Path) -> list[int]:
    return [int(note.split()[1]) for note in read_notes(folder) if note.startswith("end")]


def begun(folder: Path, pid: int) -> set[int]:
    notes = [note.split() for note in read_notes(folder)]
    return {int(number) for what, number, by in notes if what == "begin" and int(by) == pid}


def test_the_tasks_of_a_killed_server_run_in_another_one(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with (
        SchedulerProcess(tmp_path, redis_url, lease=1),
        WebProcess(tmp_path, redis_url, APP, "uvicorn", "app:app") as first,
        WebProcess(tmp_path, redis_url, None, "uvicorn", "app:app") as second,
    ):
        assert first.post("/tasks?count=80")[0] == 200
        wait_until(lambda: begun(tmp_path, first.pid) and begun(tmp_path, second.pid))
        first.kill()
        wait_until(lambda: set(ended(tmp_path)) == set(range(80)), what=second.output)
        wait_until(lambda: not redis.keys(key("claimed", "default", "*")))
        # Only tasks that the dead process held may have begun twice.
        twice = {number for number in range(80) if ended(tmp_path).count(number) > 1}
        assert twice <= begun(tmp_path, first.pid) and len(twice) <= 4
        # A task that has lost two workers runs in a child of the server.
        push(redis, "work", 1000, deliveries=2)
        wait_until(lambda: 1000 in ended(tmp_path), what=second.output)
        assert 1000 not in begun(tmp_path, second.pid)


def test_a_server_that_ends_finishes_what_runs_and_gives_back_the_rest(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WebProcess(tmp_path, redis_url, APP, "uvicorn", "app:app") as web:
        for number in range(5):
            push(redis, "hold", number)
        wait_until(lambda: len(begun(tmp_path, web.pid)) == 2)
        web.signal(signal.SIGTERM)
        web.wait_for_output("Waiting for application shutdown")
        wait_until(lambda: len(pending(redis)) == 3)
        threading.Timer(0.1, (tmp_path / "open").touch).start()
        assert web.wait() == -signal.SIGTERM, web.output()
    assert len(ended(tmp_path)) == 2 and set(ended(tmp_path)) == begun(tmp_path, web.pid)
    assert [parts["deliveries"] for parts in pending(redis)] == [0, 0, 0]
    assert not redis.keys(key("claimed", "default", "*"))
