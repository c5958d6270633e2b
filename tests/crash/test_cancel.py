"""A cancel outlives a SIGKILL of Redis, of the worker that runs the task, and of both."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from support.system import System
from support.waiting import wait_until

APP = """
@fluxqueue.task()
def endless(name):
    note(f"began {name}")
    while True:
        time.sleep(0.02)

@fluxqueue.task()
def quick(name):
    note(f"began {name}")
"""


def task(url: str, name: str) -> Any:
    def function(name: str) -> None: ...

    return FluxQueue(url).task(name=name)(function)


@pytest.mark.parametrize("kills_worker", [False, True])
def test_a_cancel_outlives_redis(tmp_path: Path, kills_worker: bool) -> None:
    with (
        EmbeddedRedis(tmp_path / "redis", appendfsync="always") as server,
        System(tmp_path, server.url, APP, lease=2.0) as system,
    ):
        system.start_scheduler()
        worker = system.start_worker(concurrency=1)
        running = task(server.url, "endless").enqueue("running")
        wait_until(lambda: worker.notes() == ["began running"], what=worker.output)
        waiting = task(server.url, "quick").enqueue("waiting")
        other = task(server.url, "quick").enqueue("other")
        worker.signal(signal.SIGSTOP)
        assert running.cancel() == "requested"
        assert waiting.cancel() == "cancelled"
        server.kill()
        server.start()
        if kills_worker:
            worker.kill()
            system.start_worker(concurrency=1)
        else:
            worker.signal(signal.SIGCONT)
        wait_until(lambda: system.stats().get("cancelled") == 2, timeout=30, what=worker.output)
        system.wait_until_settled()
        assert worker.notes() == ["began running", "began other"]
        assert system.stats()["succeeded"] == 1
        assert {h.cancel() for h in (running, waiting, other)} == {"already_done"}
