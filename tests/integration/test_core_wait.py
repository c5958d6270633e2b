"""An enqueue that waits for replicas or the disk, by `WAIT` and `WAITAOF`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, EnqueueUncertain, FluxQueue
from redis import ResponseError
from support.ports import HOST, free_ports
from support.producing import ROUTE, numbers, producer
from support.redis_process import RedisProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

# Seconds that a replica or a disk may take on a slow machine, for calls that must
# succeed; the default is one.
LONG = 4.5
Sender = Any
Way = Callable[[Sender, int], None]


def by_thread(sender: Sender, number: int) -> None:
    sender.enqueue(ROUTE, (number,), {})


def by_loop(sender: Sender, number: int) -> None:
    async def run() -> None:
        await sender.enqueue_async(ROUTE, (number,), {})

    asyncio.run(run())


def in_bulk(sender: Sender, number: int) -> None:
    assert sender.enqueue_many(ROUTE, [(number,)], lambda _: None) == 1


def chunk_by_loop(sender: Sender, number: int) -> None:
    async def run() -> None:
        await sender.enqueue_chunk_async(ROUTE, [(number,)], lambda _: None)

    asyncio.run(run())


WAYS: list[Way] = [by_thread, by_loop, in_bulk, chunk_by_loop]
each_way = pytest.mark.parametrize("way", WAYS)


@contextlib.contextmanager
def server(folder: Path, **options: object) -> Iterator[RedisProcess]:
    [port] = free_ports(1)
    process = RedisProcess(folder / f"server-{port}", port, {"save": ""} | options)
    try:
        process.start()
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """A master and its replica."""
    folder = tmp_path_factory.mktemp("pair")
    with (
        server(folder, **{"repl-diskless-sync-delay": 0}) as master,
        server(folder, replicaof=f"{HOST} {master.port}") as replica,
    ):
        wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
        yield master, replica


def url(process: RedisProcess) -> str:
    return f"redis://{process.address}"


@each_way
def test_a_call_returns_when_the_replica_has_the_task(
    pair: tuple[RedisProcess, RedisProcess], way: Way
) -> None:
    master, replica = pair
    master.client.flushall()
    sender = producer(url(master), wait_replicas=1, wait_timeout=LONG)
    for number in range(20):
        way(sender, number)
        assert numbers(replica.client)[-1] == number
    assert numbers(master.client) == list(range(20))


@each_way
def test_too_few_replicas_leave_the_outcome_open(
    pair: tuple[RedisProcess, RedisProcess], way: Way
) -> None:
    """The error says that the task is in Redis. It is there once, and later calls succeed."""
    master, replica = pair
    master.client.flushall()
    sender = producer(url(master), wait_replicas=1, wait_timeout=0.2)
    replica.pause()
    try:
        for number in range(2):
            with pytest.raises(EnqueueUncertain) as caught:
                way(sender, number)
            said = str(caught.value)
            assert "in Redis and will run" in said
            assert "0 of 1 replicas have it after 200ms" in said
    finally:
        replica.go_on()
    # Two replicas are one more than there is.
    with pytest.raises(EnqueueUncertain, match="1 of 2 replicas"):
        way(producer(url(master), wait_replicas=2, wait_timeout=2), 2)
    patient = producer(url(master), wait_replicas=1, wait_timeout=LONG)
    way(patient, 3)
    assert numbers(master.client) == [0, 1, 2, 3] == numbers(replica.client)


def test_a_bulk_ends_with_the_chunk_that_too_few_have(
    pair: tuple[RedisProcess, RedisProcess],
) -> None:
    master, replica = pair
    master.client.flushall()
    client = FluxQueue(url(master), wait_replicas=1, wait_timeout=0.2)
    work = client.task(name="task", queue="q")(lambda number: None)
    replica.pause()
    try:
        with pytest.raises(EnqueueUncertain, match="in Redis and will run") as caught:
            work.enqueue_many((n,) for n in range(10_000))
    finally:
        replica.go_on()
    assert caught.value.enqueued == 0
    # Tasks that were not sent are not there.
    assert numbers(master.client) == list(range(len(numbers(master.client))))
    assert 1_000 <= len(numbers(master.client)) <= 3_000
    client.close()


def test_many_calls_of_a_loop_share_the_wait(pair: tuple[RedisProcess, RedisProcess]) -> None:
    master, _ = pair
    master.client.flushall()
    sender = producer(url(master), wait_replicas=1, wait_timeout=LONG)
    before = master.client.info("commandstats").get("cmdstat_wait", {"calls": 0})["calls"]

    async def run() -> None:
        await asyncio.gather(*(sender.enqueue_async(ROUTE, (n,), {}) for n in range(500)))

    asyncio.run(run())
    waits = master.client.info("commandstats")["cmdstat_wait"]["calls"] - before
    # One of the greeting, one of the command.
    assert waits == 2
    assert numbers(master.client) == list(range(500))


def test_without_the_setting_nothing_is_waited_for(tmp_path: Path) -> None:
    with server(tmp_path) as only:
        for number, way in enumerate(WAYS):
            way(producer(url(only)), number)
        stats = only.client.info("commandstats")
        assert "cmdstat_lpush" in stats
        assert not {"cmdstat_wait", "cmdstat_waitaof", "cmdstat_role"} & set(stats)


def has_waitaof(process: RedisProcess) -> bool:
    try:
        process.client.execute_command("WAITAOF", 0, 0, 1)
    except ResponseError as error:
        if "unknown command" not in str(error):
            raise
        return False
    return True


@each_way
def test_the_disk(tmp_path: Path, way: Way) -> None:
    with server(tmp_path, appendonly="yes", appendfsync="no") as only:
        sender = producer(f"{url(only)}?wait_aof=1&wait_timeout=0.3")
        if not has_waitaof(only):
            with pytest.raises(BrokerError, match=r"wait_aof needs Redis 7\.2") as caught:
                way(sender, 1)
            assert "not enqueued" in str(caught.value)
            assert numbers(only.client) == []
            return
        # Redis writes the file, but never syncs it to the disk.
        with pytest.raises(EnqueueUncertain, match="not on the disk of the master"):
            way(sender, 1)
        only.client.config_set("appendfsync", "always")
        way(producer(f"{url(only)}?wait_aof=1&wait_timeout={LONG}"), 2)
        assert numbers(only.client) == [1, 2]


@each_way
def test_a_server_without_a_file_refuses_before_anything_is_enqueued(
    tmp_path: Path, way: Way
) -> None:
    with server(tmp_path, appendonly="no") as only:
        with pytest.raises(BrokerError) as caught:
            way(producer(url(only), wait_aof=True), 1)
        said = str(caught.value)
        assert "appendonly" in said if has_waitaof(only) else "7.2" in said
        assert "not enqueued" in said
        assert numbers(only.client) == []


def test_a_right_that_is_missing_is_noticed_before_anything_is_enqueued(tmp_path: Path) -> None:
    with server(tmp_path) as only:
        only.client.execute_command("ACL SETUSER", "default", "-wait")
        with pytest.raises(BrokerError, match="wait_replicas or wait_aof") as caught:
            by_thread(producer(url(only), wait_replicas=1), 1)
        assert "not enqueued" in str(caught.value)
        assert numbers(only.client) == []


def test_a_worker_with_the_same_url_waits_for_no_replica(tmp_path: Path) -> None:
    app = """
@fluxqueue.task(queue="q", name="task")
def task(number):
    note(number)
"""
    with server(tmp_path) as only:
        by_thread(producer(url(only)), 1)
        with WorkerProcess(
            tmp_path, f"{url(only)}?wait_replicas=1&wait_aof=1", app, queue="q"
        ) as worker:
            wait_until(lambda: worker.notes() == ["1"], what=worker.output)
            assert worker.stop() == 0
        assert "cmdstat_wait" not in only.client.info("commandstats")
