"""Limited tasks in a cluster, and while a hash slot moves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fluxqueue_core import Producer, Route, Settings, key
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue="slow", name="work")
def work(number):
    note(number)
    time.sleep(0.01)
"""
DIGEST = "c" * 32


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    folder = tmp_path_factory.mktemp("limits") / "nodes"
    with RedisCluster(folder, replicas=0) as servers:
        yield servers


def test_limited_tasks_run_while_the_hash_slot_moves(servers: RedisCluster, tmp_path: Path) -> None:
    hash_slot = servers.hash_slot("{slow}")
    source = servers.owner(hash_slot)
    target = next(node for node in servers.masters() if node is not source)
    producer = Producer(Settings(servers.url, timeout=60.0))
    route = Route("slow", "work", limit=(1, 1_000, 1))

    def enqueue(numbers: range) -> None:
        for number in numbers:
            producer.enqueue(route, (number,), {}, limit=(DIGEST, "work"))

    enqueue(range(40))
    with (
        WorkerProcess(tmp_path, servers.url, APP, queue="slow") as worker,
        SchedulerProcess(tmp_path, servers.url, lease=5) as scheduler,
        ThreadPoolExecutor(1) as thread,
    ):
        wait_until(lambda: len(worker.notes()) > 3, what=worker.output)
        servers.begin_move(hash_slot, target)
        servers.move_keys(hash_slot, target)
        calls = thread.submit(enqueue, range(40, 60))
        try:
            wait_until(lambda: target.client.info("errorstats").get("errorstat_TRYAGAIN"))
        finally:
            servers.end_move(hash_slot, target)
        calls.result(timeout=60)
        wait_until(lambda: len(worker.notes()) == 60, what=worker.output)
        assert [int(note) for note in worker.notes()] == list(range(60))
        wait_until(lambda: not target.client.keys("fluxqueue:{slow}:limit*"), what=scheduler.output)
        assert worker.stop() == 0
    assert not target.client.exists(key("pending", "slow"), key("delayed", "slow"))
    producer.close()
