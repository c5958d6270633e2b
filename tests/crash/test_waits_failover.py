"""Thousands of waits for results while a master dies, behind Sentinels and in a cluster.

A task and its result end in one write, and replicas get both or none. So a task whose result is
lost with its master runs again, and the wait for it goes on. All waits are answered, because the
calls wait for the replicas.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from fluxqueue import FluxQueue, TaskHandle, gather_results, gather_results_sync
from fluxqueue.waiting import listener
from support.redis_cluster import RedisCluster
from support.redis_process import RedisProcess
from support.redis_sentinel import RedisSentinel
from support.system import System
from support.waiting import wait_until

WAITS = 10_000
LEASE = 3.0
# Seconds that all of them may take on a busy machine.
PATIENCE = 240
QUERY = "?timeout=60&wait_timeout=50"


def app(queues: list[str]) -> str:
    """A task in each queue, which waits until the test opens the gate."""
    return "".join(
        f"""
@fluxqueue.task(name="work", queue={queue!r}, result_ttl=600)
async def work_{n}(number):
    import asyncio
    while number >= {WAITS // 2} and not os.path.exists("open"):
        await asyncio.sleep(0.05)
    return number
"""
        for n, queue in enumerate(queues)
    )


def enqueue_all(client: FluxQueue, queues: list[str]) -> list[TaskHandle[Any]]:
    """Enqueues a task for each number, and returns their handles."""
    handles: list[TaskHandle[Any]] = []
    for n, queue in enumerate(queues):

        @client.task(name="work", queue=queue, result_ttl=600)
        def work(number: int) -> int:
            raise NotImplementedError

        numbers = range(n, WAITS, len(queues))
        calls = [work.options(task_id=f"{number}").call(number) for number in numbers]
        assert work.enqueue_many(calls) == len(numbers)
        handles += [client.handle(f"{number}", queue=queue) for number in numbers]
    return handles


@contextmanager
def waits(handles: list[TaskHandle[Any]]) -> Iterator[dict[TaskHandle[Any], Any]]:
    """Waits for all: half of them in a thread, half on a loop. Yields the results, which are
    complete at the end."""
    half = len(handles) // 2
    found: dict[TaskHandle[Any], Any] = {}

    def on_loop() -> None:
        some = handles[half:]
        results = asyncio.run(gather_results(some, PATIENCE, return_exceptions=True))
        found.update(zip(some, results, strict=True))

    def in_thread() -> None:
        some = handles[:half]
        results = gather_results_sync(some, PATIENCE, return_exceptions=True)
        found.update(zip(some, results, strict=True))

    threads = [threading.Thread(target=target, daemon=True) for target in (on_loop, in_thread)]
    for thread in threads:
        thread.start()
    yield found
    for thread in threads:
        thread.join(PATIENCE + 30)


def subscribed(servers: list[RedisProcess]) -> int:
    """How many channels the waits have subscribed to."""
    count = 0
    for server in servers:
        for command in ("PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS"):
            try:
                count += len(server.client.execute_command(command, "fluxqueue:*"))
            except redis.ResponseError:  # before Redis 7.0
                continue
    return count


def test_all_waits_are_answered_when_a_master_behind_sentinels_dies(
    tmp_path: Path, redis_sentinel: RedisSentinel
) -> None:
    servers = redis_sentinel
    client = FluxQueue(f"{servers.url}{QUERY}&wait_replicas=2")
    with System(
        tmp_path, servers.url, app(["default"]), lease=LEASE, redis_client=servers.client
    ) as system:
        system.start_scheduler()
        handles = enqueue_all(client, ["default"])
        with waits(handles) as found:
            wait_until(lambda: subscribed([servers.master()]) == WAITS, interval=0.2)
            for _ in range(2):
                system.start_worker(concurrency=50, log_level="warning")
            wait_until(lambda: listener(client.settings).waits < 0.9 * WAITS)
            old = servers.kill_master()
            new = servers.wait_for_failover(old)
            (tmp_path / "open").touch()
        check(found, client)
        wait_until(lambda: subscribed([new]) == 0)


def test_all_waits_are_answered_when_a_master_of_a_cluster_dies(
    tmp_path: Path, redis_cluster: RedisCluster
) -> None:
    servers = redis_cluster
    client = FluxQueue(f"{servers.url}{QUERY}&wait_replicas=1")
    queues = [servers.queue_on(node) for node in servers.masters()]
    with System(
        tmp_path, servers.url, app(queues), lease=LEASE, redis_client=servers.client
    ) as system:
        system.start_scheduler()
        handles = enqueue_all(client, queues)
        with waits(handles) as found:
            wait_until(lambda: subscribed(servers.masters()) == WAITS, interval=0.2)
            for _ in range(2):
                system.start_worker(queue=",".join(queues), concurrency=50, log_level="warning")
            wait_until(lambda: listener(client.settings).waits < 0.9 * WAITS)
            servers.kill(servers.owner(f"{{{queues[0]}}}"))
            servers.wait_until_healthy()
            (tmp_path / "open").touch()
        check(found, client)
        wait_until(lambda: subscribed(servers.masters()) == 0)


def check(found: dict[TaskHandle[Any], Any], client: FluxQueue) -> None:
    """Each wait has its own result, and none is left."""
    errors = [one for one in found.values() if isinstance(one, Exception)]
    assert not errors, (len(errors), errors[:3])
    assert len(found) == WAITS
    for handle, number in found.items():
        assert handle.id == client.handle(f"{number}").id
    assert listener(client.settings).waits == 0
