"""Lifespans of real workers: several processes, a failure at each end, and a slow begin."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluxqueue import FluxQueue, Shared
from fluxqueue_core import key
from fluxqueue_worker.embedded_worker import EmbeddedWorker
from redis import Redis
from support.raw_messages import pending, push
from support.worker_process import PATIENCE, WorkerProcess, wait_until

APP = """
import asyncio
from fluxqueue import Shared

@fluxqueue.lifespan
def first():
    note(f"begin {os.getpid()}")
    yield os.getpid()
    note(f"end {os.getpid()}")

@fluxqueue.task()
def work(first: int = Shared(first)):
    assert first == os.getpid()
    note(f"work {first}")

other = FluxQueue(None)

@other.lifespan
def of_other_queue():
    note("other")
    yield

@other.task(queue="other")
def work_elsewhere(): ...
"""


def test_each_process_has_its_lifespan(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2) as worker:
        wait_until(lambda: len(worker.notes()) == 2)
        push(redis, "work")
        worker.wait_for("task.done")
        assert worker.stop() == 0
    kinds = [note.split()[0] for note in worker.notes()]
    assert sorted(kinds) == ["begin", "begin", "end", "end", "work"]
    pids = {note.split()[1] for note in worker.notes()}
    assert len(pids) == 2 and str(worker.process.pid) not in pids


def test_a_process_that_replaces_another_begins_again(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=1, max_tasks=1) as worker:
        push(redis, "work")
        wait_until(lambda: len(worker.notes()) >= 4)
        assert worker.stop() == 0
    begin, work, end, again, last = worker.notes()
    assert (begin.split()[0], work.split()[0], end.split()[0]) == ("begin", "work", "end")
    assert begin.split()[1] == end.split()[1] != again.split()[1] == last.split()[1]


FAILING = """
@fluxqueue.lifespan
def second(first: int = Shared(first)):
    raise ConnectionError("database is down")
    yield
"""
FAILING_ASYNC = FAILING.replace("def second", "async def second")


@pytest.mark.parametrize("app", [FAILING, FAILING_ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_lifespan_that_fails_ends_the_worker_before_it_claims_anything(
    tmp_path: Path, redis_url: str, redis: Redis, app: str, processes: int
) -> None:
    push(redis, "work")
    with WorkerProcess(tmp_path, redis_url, APP + app, processes=processes) as worker:
        assert worker.wait() == 1
    line = worker.wait_for("lifespan.failed")
    assert (line["function"], line["error"]) == ("second", "ConnectionError: database is down")
    first = line["exception"].split("\n")[1]
    assert first.strip().startswith(f'File "{tmp_path}') and first.endswith("in second")
    assert [note.split()[0] for note in worker.notes()] == ["begin", "end"]
    assert not worker.named("worker.started")
    assert len(pending(redis)) == 1 and redis.exists(key("consumers", "default")) == 0


BAD_END = """
@fluxqueue.lifespan
def second():
    yield
    raise OSError("disk full")
"""


def test_a_lifespan_that_fails_at_its_end_is_logged(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP + BAD_END) as worker:
        worker.wait_for("worker.connected")
        assert worker.stop() == 0
    line = worker.wait_for("lifespan.end_failed")
    assert (line["function"], line["error"]) == ("second", "OSError: disk full")
    assert [note.split()[0] for note in worker.notes()] == ["begin", "end"]


SLOW = """
@fluxqueue.lifespan
def second():
    note("waits")
    while not os.path.exists("open"):
        time.sleep(0.01)
    yield
"""


def test_a_signal_ends_a_worker_whose_lifespan_has_not_begun(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    push(redis, "work")
    with WorkerProcess(tmp_path, redis_url, APP + SLOW) as worker:
        wait_until(lambda: "waits" in worker.notes())
        worker.signal(signal.SIGTERM)
        worker.wait_for("lifespan.not_ended")
        assert worker.wait() == 0
    assert not worker.named("worker.started")
    assert [note.split()[0] for note in worker.notes()] == ["begin", "waits"]
    assert len(pending(redis)) == 1


ENDLESS = """
@fluxqueue.lifespan
def second():
    yield
    time.sleep(600)
"""


def test_a_lifespan_that_does_not_end_is_left_behind(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP + ENDLESS) as worker:
        worker.wait_for("worker.connected")
        assert worker.stop() == 0
    assert worker.wait_for("lifespan.not_ended")["timeout"] == 5.0
    assert worker.wait_for("worker.stopped")["stuck"] is True


ASYNC_ONLY = """
@fluxqueue.lifespan
async def second():
    note("async")
    yield
    await asyncio.sleep(0)
    note("async end")
"""


def test_an_async_lifespan_runs_without_async_tasks(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP + ASYNC_ONLY) as worker:
        worker.wait_for("worker.connected")
        assert worker.stop() == 0
    kinds = [note.split(" ")[0] for note in worker.notes()]
    assert kinds == ["begin", "async", "async", "end"]


def test_an_embedded_worker_has_lifespans_too(redis_url: str) -> None:
    queue, noted = FluxQueue(redis_url), list[str]()

    @queue.lifespan
    def settings() -> Iterator[str]:
        noted.append("begin")
        yield "settings"
        noted.append("end")

    @queue.task(result_ttl=60)
    def read(settings: str = Shared(settings)) -> str:
        return settings

    for _ in range(2):
        with EmbeddedWorker(queue):
            assert read.enqueue().result(PATIENCE) == "settings"
    assert noted == ["begin", "end"] * 2


def database() -> str:
    raise ConnectionError("database is down")


def test_an_embedded_worker_raises_the_error_of_a_lifespan(redis_url: str) -> None:
    queue = FluxQueue(redis_url)

    @queue.lifespan
    def fails() -> Iterator[str]:
        yield database()

    @queue.task()
    def work() -> None: ...

    with pytest.raises(ConnectionError, match="database is down"), EmbeddedWorker(queue):
        pass
