"""Waits for results through broken connections, restarts and forks: none is lost."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue import (
    BrokerError,
    FluxQueue,
    ResultTimeout,
    TaskHandle,
    gather_results,
    gather_results_sync,
)
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue.waiting import listener
from fluxqueue_core import new_task_id
from redis import Redis
from support.outcomes import channel, store
from support.proxy import WAYS, Proxy, port_of
from support.waiting import wait_until


def handles_of(client: FluxQueue, count: int, queue: str = "default") -> list[TaskHandle[Any]]:
    return [client.handle(new_task_id(), queue=queue) for _ in range(count)]


def subscribed(redis: Any) -> int:
    return len(redis.pubsub_channels("fluxqueue:*"))


def in_thread(function: Any) -> tuple[threading.Thread, list[Any]]:
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(function()), daemon=True)
    thread.start()
    return thread, got


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(port_of(redis_url)[0]) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, redis_url: str) -> Iterator[FluxQueue]:
    """A client whose connections go through the proxy."""
    client = FluxQueue(f"{proxy.url}/{port_of(redis_url)[1]}", timeout=1)
    yield client
    client.close()


def test_no_result_is_lost_when_connections_are_cut(
    redis: Redis, proxy: Proxy, through: FluxQueue, chance: random.Random
) -> None:
    """Half of the tasks are awaited by a thread, half by a loop."""
    count = 4_000
    handles = handles_of(through, count)
    thread, of_thread = in_thread(lambda: gather_results_sync(handles[: count // 2], 120))
    loop, of_loop = in_thread(
        lambda: asyncio.run(_gathered(handles[count // 2 :]))  # in its own thread and loop
    )
    over = threading.Event()

    def cut() -> None:
        while not over.is_set():
            proxy.cut_all(chance.choice(WAYS))
            time.sleep(chance.random() / 10)

    cutter = threading.Thread(target=cut)
    cutter.start()
    order = list(range(count))
    chance.shuffle(order)
    for number in order:
        # Some are larger than a message to the caller has room for.
        large = "x" * 5_000 if number % 10 == 0 else ""
        store(redis, handles[number].id, f'"{number}{large}"')
    over.set()
    cutter.join()
    thread.join(120)
    loop.join(120)
    found = [text.rstrip("x") for text in [*of_thread[0], *of_loop[0]]]
    assert found == [str(number) for number in range(count)]
    assert listener(through.settings).waits == 0
    wait_until(lambda: subscribed(redis) == 0)


async def _gathered(handles: list[TaskHandle[Any]]) -> list[Any]:
    return await gather_results(handles, 120)


def test_a_silent_server_is_noticed_and_the_result_found(
    redis: Redis, proxy: Proxy, through: FluxQueue
) -> None:
    """Nothing ends the connection: only a test of it shows that the server hears nothing."""
    [handle] = handles_of(through, 1)
    thread, got = in_thread(lambda: handle.result(60))
    wait_until(lambda: subscribed(redis) == 1)
    proxy.black_hole = True
    store(redis, handle.id, "7")
    wait_until(lambda: listener(through.settings).problem is not None)
    assert not got
    proxy.end_black_hole()
    thread.join(60)
    assert got == [7]


def test_a_wait_says_that_redis_can_not_be_reached() -> None:
    client = FluxQueue("redis://127.0.0.1:1")
    [handle] = handles_of(client, 1)
    with pytest.raises(ResultTimeout, match="can't be reached"):
        handle.result(0.2)
    with pytest.raises(BrokerError, match="can't be reached"):
        FluxQueue("redis://127.0.0.1:1", timeout=0.3).handle(handle.id).status()


def test_a_wait_survives_a_restart_of_redis() -> None:
    server = EmbeddedRedis(appendfsync="always")
    with server:
        client = FluxQueue(server.url)
        first, second = handles_of(client, 2)
        thread, got = in_thread(lambda: gather_results_sync([first, second], 60))
        with Redis.from_url(server.url) as redis:
            wait_until(lambda: subscribed(redis) == 2)
            store(redis, first.id, "1")
            wait_until(lambda: subscribed(redis) == 1)
        server.stop()
        wait_until(lambda: listener(client.settings).problem is not None)
        server.start()
        with Redis.from_url(server.url) as redis:
            store(redis, second.id, "2")
            thread.join(60)
            assert got == [[1, 2]]
            wait_until(lambda: subscribed(redis) == 0)


def test_a_child_of_fork_waits_over_its_own_connection(redis: Redis, client: FluxQueue) -> None:
    of_parent, of_child = handles_of(client, 2)
    thread, got = in_thread(lambda: of_parent.result(60))
    wait_until(lambda: subscribed(redis) == 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = of_child.result(60)
        finally:
            os._exit(code)
    wait_until(lambda: subscribed(redis) == 2)
    store(redis, of_child.id, "7")
    store(redis, of_parent.id, "8")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    thread.join(60)
    assert got == [8]
    wait_until(lambda: subscribed(redis) == 0)


def test_a_wrong_password_ends_the_wait_at_once(redis: Redis, redis_url: str) -> None:
    wrong = redis_url.replace("redis://", "redis://nobody:wrong@")
    [handle] = handles_of(FluxQueue(wrong), 1)
    with pytest.raises(BrokerError, match="user and password"):
        handle.result(60)


def test_a_result_is_told_to_all_who_wait_and_to_no_other(redis: Redis, client: FluxQueue) -> None:
    [handle, other] = handles_of(client, 2)

    async def main() -> list[Any]:
        waits = [asyncio.create_task(handle.result_async(60)) for _ in range(100)]
        late = asyncio.create_task(other.result_async(0.5))
        while redis.pubsub_numsub(channel(handle.id))[0][1] != 1:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(store, redis, handle.id, "7")
        found: list[Any] = await asyncio.gather(*waits, late, return_exceptions=True)
        return found

    *found, late = asyncio.run(main())
    assert found == [7] * 100 and isinstance(late, ResultTimeout)
