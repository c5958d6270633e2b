"""Dependencies and lifespans of tasks that a test runs inline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fluxqueue import Depends, FluxQueue, Shared
from fluxqueue.testing import inline

noted: list[str] = []


@pytest.fixture
def shop(queue: FluxQueue) -> FluxQueue:
    noted.clear()
    return queue


def pool() -> Iterator[str]:
    noted.append("pool")
    yield "pool"
    noted.append("pool ends")


async def client() -> AsyncIterator[str]:
    noted.append("client")
    yield "client"
    await asyncio.sleep(0)
    noted.append("client ends")


def session(pool: str = Shared(pool)) -> Iterator[str]:
    yield f"session of {pool}"
    noted.append("session ends")


def test_all_tasks_of_a_test_share_values_that_end_with_the_mode(shop: FluxQueue) -> None:
    @shop.lifespan
    def settings() -> Iterator[str]:
        noted.append("settings")
        yield "settings"
        noted.append("settings end")

    shop.lifespan(client)

    @shop.task(result_ttl=60)
    def work(session: str = Depends(session)) -> str:
        return session

    @shop.task(result_ttl=60)
    async def work_async(session: str = Depends(session), client: str = Shared(client)) -> Any:
        return [session, client]

    for _ in range(2):
        with inline(shop):
            assert work.enqueue().result() == "session of pool"
            assert work_async.enqueue().result() == ["session of pool", "client"]
        assert noted == [
            *("settings", "pool", "session ends", "client", "session ends"),
            *("client ends", "pool ends", "settings end"),
        ]
        noted.clear()


async def _in_an_async_test(shop: FluxQueue) -> None:
    @shop.task(result_ttl=60)
    async def work(client: str = Shared(client)) -> str:
        return client

    with inline(shop):
        for _ in range(2):
            handle = await work.enqueue_async()
            assert await handle.result_async() == "client"


def test_a_value_of_the_loop_of_a_test_ends_with_the_loop(shop: FluxQueue) -> None:
    asyncio.run(_in_an_async_test(shop))
    assert noted == ["client"]  # one, which the end of the loop has cancelled at its `yield`


def test_an_override_counts_inline(shop: FluxQueue) -> None:
    @shop.task(result_ttl=60)
    def work(session: str = Depends(session)) -> str:
        return session

    with inline(shop):
        with shop.override_dependency(session, lambda: "fake"):
            assert work.enqueue().result() == "fake"
        with shop.override_dependency(pool, lambda: "fake"):
            assert work.enqueue().result() == "session of fake"
        assert work.enqueue().result() == "session of pool"


def test_a_lifespan_that_fails_fails_the_test(shop: FluxQueue) -> None:
    @shop.lifespan
    def fails() -> Iterator[None]:
        if not noted:
            raise ConnectionError("database is down")
        yield

    @shop.task(max_retries=0)
    def work() -> None: ...

    with inline(shop), pytest.raises(ConnectionError, match="database is down"):
        work()


def test_a_value_that_fails_to_end_fails_the_test(shop: FluxQueue) -> None:
    @shop.lifespan
    def fails() -> Iterator[None]:
        yield
        raise OSError("disk full")

    @shop.task()
    def work() -> None: ...

    with pytest.raises(OSError, match="disk full"), inline(shop):
        work()
