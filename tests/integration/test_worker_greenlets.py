"""A worker whose modules replace threads by greenlets."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import push
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work():
    time.sleep(0.01)
    note("ran")
"""


@pytest.mark.parametrize(
    ("patch", "library"),
    [
        ("from gevent import monkey\nmonkey.patch_all()\n", "gevent"),
        ("from gevent import monkey\nmonkey.patch_thread()\n", "gevent"),
        # A stand-in that answers as eventlet does after it has patched.
        (
            "import sys, types\nsys.modules['eventlet.patcher'] = types.SimpleNamespace("
            "is_monkey_patched=lambda module: module == 'thread')\n",
            "eventlet",
        ),
    ],
)
def test_a_worker_refuses_to_run_as_greenlets(
    redis_url: str, tmp_path: Path, patch: str, library: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, patch + APP) as worker:
        assert worker.wait() == 2, worker.output()
        assert f"let {library} replace threads by greenlets" in worker.output()


def test_a_worker_runs_tasks_where_all_but_threads_is_patched(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    patch = "from gevent import monkey\nmonkey.patch_all(thread=False)\n"
    for _ in range(8):
        push(redis, "work")
    with WorkerProcess(tmp_path, redis_url, patch + APP) as worker:
        worker.wait_for("task.done", count=8)
        assert worker.stop() == 0
    assert worker.notes() == ["ran"] * 8
