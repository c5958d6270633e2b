"""Unique tasks in a cluster, and while a hash slot moves."""

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
@fluxqueue.task(queue="once", name="task")
def task(number):
    note(number)
"""


def test_calls_wait_while_the_hash_slot_moves_and_then_find_the_lock(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    """With some keys moved, both nodes refuse the script before it begins."""
    hash_slot = cluster.hash_slot("{once}")
    source = cluster.owner(hash_slot)
    target = next(node for node in cluster.masters() if node is not source)
    app = FluxQueue(cluster.url, timeout=30)
    task = app.declare("task", queue="once", unique=True, on_conflict="replace")
    first, later = task.enqueue(1), task.options(delay=3600).enqueue(2)
    assert first.created and later.created
    cluster.begin_move(hash_slot, target)
    cluster.move_keys(hash_slot, target)

    def call() -> list[bool]:
        again, other = task.enqueue(1), asyncio.run(task.enqueue_async(3))
        assert again == first
        # It replaces the delayed one, and runs at once.
        return [again.created, other.created, task.enqueue_many([(2,), (1,)]) == 1]

    with ThreadPoolExecutor(1) as thread:
        calls = thread.submit(call)
        try:
            wait_until(lambda: target.client.info("errorstats").get("errorstat_TRYAGAIN"))
            assert not calls.done()
        finally:
            cluster.end_move(hash_slot, target)
        assert calls.result(timeout=60) == [False, True, True]
    with WorkerProcess(tmp_path, cluster.url, APP, queue="once") as worker:
        wait_until(lambda: len(worker.notes()) == 3, what=worker.output)
        assert sorted(worker.notes()) == ["1", "2", "3"]
        assert worker.stop() == 0
    assert target.client.keys(key("unique", "once", "*")) == []
    assert not target.client.exists(key("pending", "once"), key("delayed", "once"))
    app.close()
