"""Producer and worker behind real Sentinels: who is the master, and what a failover does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import BrokerError, BrokerUnavailable, EnqueueUncertain
from fluxqueue_core import key
from support.producing import ROUTE, numbers, producer
from support.redis_sentinel import SERVICE, RedisSentinel
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue="q", name="task")
def task(number):
    note(number)
"""


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Servers with passwords, for tests that stop none of them."""
    folder = tmp_path_factory.mktemp("steady") / "servers"
    with RedisSentinel(folder, replicas=1, password="p/w:", sentinel_password="s@cret&") as servers:
        yield servers


def in_master(servers: RedisSentinel) -> list[Any]:
    with servers.client() as client:
        return numbers(client)


def escaped(servers: RedisSentinel) -> str:
    """The URL; the fixture does not escape passwords."""
    return servers.url.replace("p/w:", "p%2Fw%3A").replace("s@cret&", "s%40cret%26")


def test_every_way_of_enqueueing_finds_the_master(steady: RedisSentinel) -> None:
    with steady.client() as client:
        client.flushall()
    sender = producer(escaped(steady))

    async def one() -> None:
        await sender.enqueue_async(ROUTE, (1,), {})
        await sender.enqueue_chunk_async(ROUTE, [(2,), (3,)], lambda _: None)

    sender.enqueue(ROUTE, (0,), {})
    asyncio.run(one())
    assert sender.enqueue_many(ROUTE, [(n,) for n in range(4, 2_500)], lambda _: None) == 2_496
    assert in_master(steady) == list(range(2_500))


def test_a_database_can_be_chosen(steady: RedisSentinel) -> None:
    url = escaped(steady).replace(f"/{SERVICE}", f"/{SERVICE}/7")
    producer(url).enqueue(ROUTE, ("in seven",), {})
    with steady.client() as client:
        client.select(7)
        assert numbers(client) == ["in seven"]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"/tasks": "/nothing"}, BrokerUnavailable, 'no Sentinel names a master for "nothing"'),
        ({"s%40cret%26": "wrong"}, BrokerError, "WRONGPASS"),
        ({"?sentinel_password=s%40cret%26": ""}, BrokerError, "NOAUTH"),
        ({"p%2Fw%3A@": "wrong@"}, BrokerError, "WRONGPASS"),
    ],
)
def test_errors_list_what_each_sentinel_said(
    steady: RedisSentinel, change: dict[str, str], kind: type[BrokerError], said: str
) -> None:
    url = escaped(steady)
    for old, new in change.items():
        assert old in url
        url = url.replace(old, new)
    with pytest.raises(kind) as caught:
        producer(url, timeout=2).enqueue(ROUTE, (), {})
    text = str(caught.value)
    assert said in text and "was not enqueued" in text
    if "p%2Fw%3A@" not in change:
        assert all(sentinel.address in text for sentinel in steady.sentinels)
    for secret in ("s@cret", "s%40cret", "p/w:", "wrong@"):
        assert secret not in text


def test_a_client_skips_a_silent_sentinel_and_a_server_that_is_not_one(
    steady: RedisSentinel,
) -> None:
    with steady.client() as client, socket.create_server(("127.0.0.1", 0)) as silent:
        client.flushall()
        odd = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:1,{steady.master().address}"
        url = escaped(steady).replace("@", f"@{odd},", 1)
        sender = producer(url, connect_timeout=2)
        sender.enqueue(ROUTE, (1,), {})
        # The one that answered is asked first from now on.
        threads = [threading.Thread(target=sender.enqueue, args=(ROUTE, (2,), {})) for _ in "123"]
        silent.close()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert numbers(client) == [1, 2, 2, 2]


def test_a_failover_as_an_operator_asks_for_it(redis_sentinel: RedisSentinel) -> None:
    """Nothing is lost, nothing comes twice, and the order is kept."""
    servers = redis_sentinel
    sender = producer(servers.url, timeout=60)

    def fail_over() -> None:
        servers.wait_for_replicas()
        servers.failover()

    async def many(first: int) -> None:
        await asyncio.gather(
            *(sender.enqueue_async(ROUTE, (n,), {}) for n in range(first, first + 100))
        )

    async def over_the_failover() -> None:
        await many(0)
        await asyncio.to_thread(fail_over)
        await many(100)

    asyncio.run(over_the_failover())
    sender.enqueue(ROUTE, (200,), {})
    fail_over()
    sender.enqueue(ROUTE, (201,), {})
    fail_over()
    assert sender.enqueue_many(ROUTE, [(n,) for n in range(202, 3_000)], lambda _: None) == 2_798
    assert in_master(servers) == list(range(3_000))


def test_a_killed_master_loses_nothing_that_a_replica_had(redis_sentinel: RedisSentinel) -> None:
    """Tests each way to enqueue. A task whose call was open when the master died may be in
    Redis or not, but never twice."""
    servers = redis_sentinel
    sender = producer(servers.url, timeout=60, connect_timeout=1, wait_replicas=1)
    stop = threading.Event()
    acknowledged: list[int] = []
    uncertain: list[int] = []
    first_after = threading.Event()
    killed = threading.Event()

    def enqueue(numbers: Iterator[int]) -> None:
        while not stop.is_set():
            number = next(numbers)
            try:
                sender.enqueue(ROUTE, (number,), {})
            except EnqueueUncertain:
                uncertain.append(number)
            else:
                acknowledged.append(number)
                if killed.is_set():
                    first_after.set()

    async def enqueue_async(numbers: Iterator[int]) -> None:
        while not stop.is_set():
            batch = [next(numbers) for _ in range(20)]
            calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in batch]
            results = await asyncio.gather(*calls, return_exceptions=True)
            for number, result in zip(batch, results, strict=True):
                if result is None:
                    acknowledged.append(number)
                else:
                    assert isinstance(result, EnqueueUncertain), result
                    uncertain.append(number)

    threads = [
        threading.Thread(target=enqueue, args=(iter(range(0, 10**9, 2)),)),
        threading.Thread(target=lambda: asyncio.run(enqueue_async(iter(range(1, 10**9, 2))))),
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 200, what="enqueued tasks")
    servers.wait_for_failover(servers.kill_master())
    killed.set()
    assert first_after.wait(60)
    before = len(acknowledged)
    wait_until(lambda: any(n % 2 for n in acknowledged[before:]), 60, "async calls")
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    found = in_master(servers)
    assert len(found) == len(set(found)), "some task is there twice"
    assert set(acknowledged) <= set(found)
    assert set(found) <= set(acknowledged) | set(uncertain)


def test_a_worker_goes_on_after_the_master_was_killed(
    redis_sentinel: RedisSentinel, tmp_path: Path
) -> None:
    servers = redis_sentinel
    sender = producer(servers.url, timeout=60, wait_replicas=2, wait_timeout=5)
    with WorkerProcess(tmp_path, servers.url, APP, queue="q", lease=4) as worker:
        worker.wait_for("worker.connected")
        sender.enqueue_many(ROUTE, [(n,) for n in range(300)], lambda _: None)
        wait_until(lambda: len(worker.notes()) > 50, what="tasks that ran")
        servers.wait_for_failover(servers.kill_master())
        # One of the three servers is gone.
        later = producer(servers.url, timeout=60, wait_replicas=1, wait_timeout=5)
        later.enqueue_many(ROUTE, [(n,) for n in range(300, 400)], lambda _: None)
        wait_until(
            lambda: set(worker.notes()) >= {str(n) for n in range(400)},
            60,
            lambda: f"all tasks; {worker.output()}",
        )
        with servers.client() as client:
            wait_until(
                lambda: not client.llen(key("pending", "q")) and not held(client),
                what="settled tasks",
            )
        assert worker.stop() == 0


def held(client: Any) -> int:
    return sum(client.hlen(name) for name in client.scan_iter(key("claimed", "q", "*")))


def test_the_master_that_sentinels_name_is_checked(redis_sentinel: RedisSentinel) -> None:
    """A replica that they still call the master gets no task."""
    servers = redis_sentinel
    for sentinel in servers.sentinels[1:]:
        sentinel.kill()
    old = servers.master()
    # Alone it can't turn the servers round, and its view is an old one.
    last = servers.sentinels[0]
    last.pause()
    other = next(server for server in servers.servers if server is not old)
    other.client.execute_command("REPLICAOF NO ONE")
    old.client.execute_command("REPLICAOF 127.0.0.1", other.port)
    last.go_on()
    with pytest.raises(BrokerUnavailable, match=r"but it is not|no Sentinel names"):
        producer(servers.url, timeout=0.4).enqueue(ROUTE, (), {})
    assert numbers(other.client) == []
