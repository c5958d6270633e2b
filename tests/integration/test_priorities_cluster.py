"""Tasks with priorities in a cluster, and while a hash slot moves."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def test_calls_wait_while_the_hash_slot_moves_and_keep_their_order(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    """By each way to call. With some keys moved, both nodes refuse a script before it begins."""
    hash_slot = cluster.hash_slot("{ranked}")
    source = cluster.owner(hash_slot)
    target = next(node for node in cluster.masters() if node is not source)
    queue = FluxQueue(cluster.url, timeout=30)

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
    cluster.begin_move(hash_slot, target)
    cluster.move_keys(hash_slot, target)
    with ThreadPoolExecutor(1) as thread:
        later = thread.submit(call_all, range(5, 10))
        try:
            wait_until(lambda: target.client.info("errorstats").get("errorstat_TRYAGAIN"))
            assert not later.done()
        finally:
            cluster.end_move(hash_slot, target)
        later.result(timeout=60)
    assert cluster.owner(hash_slot) is target
    with WorkerProcess(tmp_path, cluster.url, APP, queue="ranked", concurrency=1) as worker:
        wait_until(lambda: len(worker.notes()) == 10, what=worker.output)
        assert worker.notes() == [str(number) for number in range(9, -1, -1)]
        assert worker.stop() == 0
    assert not target.client.exists(key("pending", "ranked"), key("prioritized", "ranked"))
    queue.close()
