"""A lone outcome is settled at once, even while another task runs."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from redis import Redis
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import asyncio

@fluxqueue.task()
def hold():
    while not os.path.exists("open"):
        time.sleep(0.01)

@fluxqueue.task_with_context()
def short(ctx: Context):
    time.sleep(0.005)
    # By the clock that MONITOR goes by.
    note(f"{ctx.metadata.task_id} {time.time()}")

@fluxqueue.task_with_context()
async def short_async(ctx: Context):
    await asyncio.sleep(0.005)
    note(f"{ctx.metadata.task_id} {time.time()}")
"""
APART = 0.02
# Under load outcomes are gathered for this long (`GATHER` in the consumer). If a lone
# outcome waited as well, none would be settled sooner.
GATHERED = 0.001
# A busy machine delays most outcomes. The test ends when this number was not delayed.
ENOUGH = 5


class Watch(threading.Thread):
    """Notes when Redis executed the exchange that settled each task, by MONITOR."""

    def __init__(self, redis: Any) -> None:
        super().__init__(daemon=True)
        self.settled: dict[str, float] = {}
        self._redis = redis
        self._ready = threading.Event()

    def run(self) -> None:
        with self._redis.monitor() as monitor:
            self._ready.set()
            for command in monitor.listen():
                if command["command"].startswith("DEL stop"):
                    return
                if command["client_type"] == "lua" and command["command"].startswith("HDEL"):
                    for task_id in re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", command["command"]):
                        self.settled.setdefault(task_id, command["time"])

    def __enter__(self) -> Watch:
        self.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._redis.delete("stop")
        self.join(10)


@pytest.mark.parametrize("name", ["short", "short_async"])
def test_a_lone_outcome_waits_for_no_other(tmp_path: Path, redis_url: str, name: str) -> None:
    client = FluxQueue(redis_url)

    def hold() -> None: ...
    def short() -> None: ...

    hold_task, task = client.task()(hold), client.task(name=name)(short)
    with (
        Redis.from_url(redis_url, decode_responses=True) as redis,
        WorkerProcess(tmp_path, redis_url, APP, log_level="warning", concurrency=2) as worker,
        Watch(redis) as watch,
    ):
        hold_task()
        claimed = key("claimed", "default", "*")
        wait_until(
            lambda: any(redis.hlen(held) for held in redis.scan_iter(claimed)), what=worker.output
        )

        def at_once() -> int:
            task()
            time.sleep(APART)
            ended = dict(line.split() for line in worker.notes())
            return sum(
                settled - float(ended[task_id]) < GATHERED
                for task_id, settled in watch.settled.copy().items()
                if task_id in ended
            )

        wait_until(lambda: at_once() >= ENOUGH, what=f"{ENOUGH} outcomes settled at once")
        (tmp_path / "open").touch()
        assert worker.stop() == 0
