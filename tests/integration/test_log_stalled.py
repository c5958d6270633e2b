"""A log without a reader: tasks, lease and drain continue, and the worker counts the
missing lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.waiting import exit_code, wait_until
from support.worker_process import PRELUDE, read_notes

APP = """
import logging

@fluxqueue.task(max_retries=0)
def noisy(number, text):
    note(number)
    logging.getLogger("shop").warning("about to fail")
    raise ValueError(text)

@fluxqueue.task(max_retries=0)
async def noisy_async(number, text):
    note(number)
    raise ValueError(text)
"""


class Unread:
    """A worker whose log is not read until `read_to_end`."""

    def __init__(self, folder: Path, url: str, *flags: str) -> None:
        (folder / "app.py").write_text(PRELUDE + APP)
        own = {"FLUXQUEUE_REDIS_URL": url, "NOTES": str(folder / "notes")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fluxqueue_worker", "-t", "app", "--log-format=json", *flags],
            cwd=folder,
            env=os.environ | own,
            stderr=subprocess.PIPE,
        )

    def read_to_end(self) -> list[dict[str, Any]]:
        assert self.process.stderr is not None
        return [json.loads(line) for line in self.process.stderr.read().splitlines()]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def declared(url: str) -> tuple[Any, Any]:
    declare = FluxQueue(url).task

    def any_task(number: int, text: str) -> None: ...

    return (
        declare(name="noisy", max_retries=0)(any_task),
        declare(name="noisy_async", max_retries=0)(any_task),
    )


# Bytes that an error has in the log, twice: as its text and in the traceback.
TEXT = "an error that fills the log " * 500


@pytest.mark.parametrize("count", [40, 800])
def test_tasks_and_drain_go_on_while_the_log_is_not_read(
    count: int, redis_url: str, redis: Any, tmp_path: Path
) -> None:
    """With 40 errors the pipe is full, with 800 what may wait as well."""
    noisy, noisy_async = declared(redis_url)
    worker = Unread(tmp_path, redis_url, "--lease=2")
    try:
        noisy.enqueue_many([(n, TEXT) for n in range(count // 2)])
        noisy_async.enqueue_many([(n, TEXT) for n in range(count // 2, count)])
        wait_until(
            lambda: redis.zcard(key("dead", "default")) == count, what="all tasks at their end"
        )
        assert sorted(map(int, read_notes(tmp_path))) == list(range(count))
        worker.process.send_signal(signal.SIGTERM)
        assert exit_code(worker.process) == 0
    finally:
        worker.close()
    # The lease was never lost, and nothing is held by a worker that is gone.
    assert not redis.keys(key("claimed", "default", "*"))
    assert redis.llen(key("pending", "default")) == 0


def test_the_log_says_how_many_lines_are_missing(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    noisy, _ = declared(redis_url)
    count = 800
    worker = Unread(tmp_path, redis_url)
    try:
        noisy.enqueue_many([(n, TEXT) for n in range(count)])
        wait_until(lambda: redis.zcard(key("dead", "default")) == count, what="all tasks")
        worker.process.send_signal(signal.SIGTERM)
        lines = worker.read_to_end()
        assert exit_code(worker.process) == 0
    finally:
        worker.close()
    events = [line["event"] for line in lines]
    assert events[0] == "worker.started"
    (dropped,) = [line for line in lines if line["event"] == "log.dropped"]
    assert dropped["level"] == "warning"
    # Each task has two lines. Besides these, only the last lines may be missing.
    written = events.count("task.dead") + events.count("about to fail")
    assert 0 <= dropped["lines"] - (2 * count - written) <= 3
    # In its place: no line of a task comes after it.
    assert "task.dead" not in events[events.index("log.dropped") :]


def test_no_line_is_missing_if_the_log_is_read_late(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    noisy, _ = declared(redis_url)
    worker = Unread(tmp_path, redis_url)
    try:
        noisy.enqueue_many([(n, TEXT) for n in range(40)])
        wait_until(lambda: redis.zcard(key("dead", "default")) == 40, what="all tasks")
        worker.process.send_signal(signal.SIGTERM)
        events = [line["event"] for line in worker.read_to_end()]
        assert exit_code(worker.process) == 0
    finally:
        worker.close()
    assert events.count("task.dead") == events.count("about to fail") == 40
    assert events[0] == "worker.started" and events[-1] == "worker.stopped"
    assert "log.dropped" not in events
