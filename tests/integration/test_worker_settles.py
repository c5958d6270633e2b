"""Outcomes are settled about as fast as tasks end: they do not pile up."""

from __future__ import annotations

from pathlib import Path

import psutil
from fluxqueue import FluxQueue
from fluxqueue_core import key
from redis import Redis
from support.proxy import Proxy, port_of
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def fast():
    pass
"""
BACKLOG, BEHIND_A_SLOW_LINE, IN_A_CALL = 200_000, 30_000, 1_000
# Claimed ahead (2,048), ended and gathered (1,000 and what ends during an exchange),
# and one exchange on its way: not a share of the backlog.
MOST_HELD = 8_000
MOST_GROWN = 8 << 20


def fill(redis_url: str, backlog: int) -> None:
    def fast() -> None:
        raise AssertionError("only the worker runs it")

    task = FluxQueue(redis_url).task()(fast)
    for _ in range(backlog // IN_A_CALL):
        task.enqueue_many([()] * IN_A_CALL)


def watch(redis: Redis, worker: WorkerProcess, backlog: int) -> list[int]:
    """The numbers of tasks that the worker held, until all are settled."""
    held: list[int] = []

    def settled() -> bool:
        for claimed in redis.scan_iter(key("claimed", "default", "*"), count=1000):
            held.append(redis.hlen(claimed))
        return int(redis.hget(key("stats", "default"), "succeeded") or 0) == backlog

    wait_until(settled, what=worker.output, timeout=120)
    return held


def test_a_worker_holds_few_tasks_of_a_long_backlog(tmp_path: Path, redis_url: str) -> None:
    fill(redis_url, BACKLOG)
    with (
        Redis.from_url(redis_url) as redis,
        WorkerProcess(tmp_path, redis_url, APP, log_level="warning") as worker,
    ):
        held = watch(redis, worker, BACKLOG)
        assert worker.stop() == 0
    assert 0 < max(held) < MOST_HELD


def test_a_slow_redis_does_not_fill_the_memory_of_a_worker(tmp_path: Path, redis_url: str) -> None:
    fill(redis_url, BEHIND_A_SLOW_LINE)
    port, database = port_of(redis_url)
    with (
        Redis.from_url(redis_url) as redis,
        Proxy(port, delay=0.01) as slow,
        WorkerProcess(tmp_path, f"{slow.url}/{database}", APP, log_level="warning") as worker,
    ):
        wait_until(lambda: redis.hget(key("stats", "default"), "succeeded"), what=worker.output)
        process = psutil.Process(worker.pid)
        before = process.memory_info().rss
        held = watch(redis, worker, BEHIND_A_SLOW_LINE)
        grown = process.memory_info().rss - before
        assert worker.stop() == 0
    assert 0 < max(held) < MOST_HELD
    # Were all of them held they would take more than that.
    assert grown < MOST_GROWN
