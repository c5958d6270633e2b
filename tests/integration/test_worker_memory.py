"""A worker holds a bounded number of bytes: with large messages, on a slow line, and
alongside long tasks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from fluxqueue_core import key
from support.proxy import Proxy, port_of
from support.raw_messages import message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def quick(text):
    pass

@fluxqueue.task()
def slow(text):
    time.sleep(0.02)

@fluxqueue.task()
def hold():
    note("hold")
    while not os.path.exists("open"):
        time.sleep(0.05)
"""
MIB = 1 << 20
# glibc returns large free blocks to the system at once, so all resident memory is in use.
# (By default it keeps some blocks for each thread.)
EXACT = {"MALLOC_MMAP_THRESHOLD_": "131072"}
PENDING = key("pending", "default")
SLOTS = 4


def large(name: str, mib: int = 1) -> bytes:
    return message(name, "x" * (mib * MIB))


def succeeded(redis: Any) -> int:
    return int(redis.hget(key("stats", "default"), "succeeded") or 0)


class Watch(threading.Thread):
    """The most that a worker claims (bytes in Redis) and weighs (bytes resident)."""

    def __init__(self, redis: Any, pid: int) -> None:
        super().__init__(daemon=True)
        self.held = 0
        self._process = psutil.Process(pid)
        self.first = self.resident = self._process.memory_info().rss
        self._redis = redis
        self._ended = threading.Event()

    @property
    def grown(self) -> int:
        return self.resident - self.first

    def run(self) -> None:
        while not self._ended.wait(0.005):
            self.resident = max(self.resident, self._process.memory_info().rss)
            for claimed in self._redis.scan_iter(key("claimed", "default", "*"), count=1000):
                # As many bytes as it takes there, its messages a little less.
                self.held = max(self.held, self._redis.memory_usage(claimed, samples=0) or 0)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self.join(10)


@pytest.mark.parametrize("name", ["quick", "slow"])
def test_few_large_messages_are_claimed_behind_a_slow_line(
    tmp_path: Path, redis: Any, redis_url: str, name: str
) -> None:
    # Fast tasks are first. For them the worker prefetches up to 1,000 tasks at once.
    small = [message("quick", "") for _ in range(10_000)]
    port, database = port_of(redis_url)
    with (
        Proxy(port, delay=0.01) as line,
        WorkerProcess(
            tmp_path,
            f"{line.url}/{database}",
            APP,
            variables=EXACT,
            log_level="warning",
            concurrency=SLOTS,
        ) as worker,
    ):
        redis.lpush(PENDING, *small)
        wait_until(lambda: succeeded(redis) > 0, what=worker.output)
        with Watch(redis, worker.pid) as watch:
            for _ in range(20):
                redis.lpush(PENDING, *[large(name) for _ in range(10)])
            wait_until(lambda: succeeded(redis) == 10_200, what=worker.output, timeout=60)
        assert worker.stop() == 0
    redis.flushdb()  # other tests need Redis' memory
    # The slots, the waiting tasks, and one exchange under way have 4 MiB each, and the limit
    # is twice that. 64 messages at once would be more.
    assert 0 < watch.held < 24 * MIB
    # Redis' answer, the messages, their arguments as bytes and as objects.
    assert watch.grown < 32 * MIB


def blocks(redis: Any) -> bool:
    """Whether the worker waits for the next message by a BLMOVE."""
    return any(
        "b" in client["flags"] for client in redis.client_list() if client["cmd"] == "blmove"
    )


@pytest.mark.parametrize("way", ["exchange", "BLMOVE"])
def test_a_task_that_runs_for_long_keeps_no_others_in_memory(
    tmp_path: Path, redis: Any, redis_url: str, way: str
) -> None:
    first, rounds = 3, 23
    slots = rounds + 4
    with WorkerProcess(tmp_path, redis_url, APP, variables=EXACT, concurrency=slots) as worker:

        def push(*messages: bytes, ended: int, begun: int) -> None:
            wait_until(lambda: blocks(redis), what=worker.output)
            redis.lpush(PENDING, *messages)
            wait_until(
                lambda: succeeded(redis) == ended and len(worker.notes()) == begun,
                what=worker.output,
            )

        def resident() -> int:
            rss: int = psutil.Process(worker.pid).memory_info().rss
            return rss

        for number in range(1, rounds + 1):
            if way == "exchange":
                # The first one by a BLMOVE, the other two in one reply.
                together = large("quick", 0), message("hold"), large("quick", 4)
                push(*together, ended=2 * number, begun=number)
            else:
                # One after the other, into one buffer.
                push(large("quick", 4), ended=number, begun=number - 1)
                push(message("hold"), ended=number, begun=number)
            if number == first:
                before = resident()
        grown = resident() - before
        (tmp_path / "open").touch()
        assert worker.stop() == 0
    redis.flushdb()
    # A quarter of what would be kept: 4 MiB for each that runs.
    assert grown < 20 * MIB
