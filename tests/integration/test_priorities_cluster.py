"""Tasks with priorities in a cluster, and while a hash slot moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.redis_cluster import RedisCluster
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue="ranked", name="task")
def task(number):
    note(number)
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    folder = tmp_path_factory.mktemp("ranked") / "nodes"
    with RedisCluster(folder, replicas=0) as servers:
        yield servers


def test_calls_wait_while_the_hash_slot_moves_and_keep_their_order(
    servers: RedisCluster, tmp_path: Path
) -> None:
    """By each way to call. With some keys moved, both nodes refuse a script before it begins."""
    hash_slot = servers.hash_slot("{ranked}")
    source = servers.owner(hash_slot)
    target = next(node for node in servers.masters() if node is not source)
    queue = FluxQueue(servers.url, timeout=30)

    def call(number: int, priority: int) -> None:
        @queue.task(name="task", queue="ranked", priority=priority)
        def task(number: int) -> None: ...

        if number % 3 == 0:
            task(number)
        elif number % 3 == 1:
            assert task.enqueue_many([(number,)]) == 1
        else:
            asyncio.run(task.enqueue_many_async([(number,)]))

    def call_all(numbers: range) -> None:
        for number in numbers:
            call(number, priority=number)

    call_all(range(5))
    servers.begin_move(hash_slot, target)
    servers.move_keys(hash_slot, target)
    with ThreadPoolExecutor(1) as thread:
        later = thread.submit(call_all, range(5, 10))
        try:
            wait_until(lambda: target.client.info("errorstats").get("errorstat_TRYAGAIN"))
            assert not later.done()
        finally:
            servers.end_move(hash_slot, target)
        later.result(timeout=60)
    assert servers.owner(hash_slot) is target
    with WorkerProcess(tmp_path, servers.url, APP, queue="ranked", concurrency=1) as worker:
        wait_until(lambda: len(worker.notes()) == 10, what=worker.output)
        assert worker.notes() == [str(number) for number in range(9, -1, -1)]
        assert worker.stop() == 0
    assert not target.client.exists(key("pending", "ranked"), key("prioritized", "ranked"))
    queue.close()
