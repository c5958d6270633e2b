"""One call waits for the results of many tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fluxqueue import (
    BrokerError,
    FluxQueue,
    ResultNotKept,
    ResultTimeout,
    TaskHandle,
    gather_results_sync,
)
from fluxqueue import gather_results as gather
from fluxqueue.waiting import listener
from fluxqueue_core import new_task_id
from redis import Redis
from support.outcomes import store
from support.waiting import wait_until


def handles_of(client: FluxQueue, count: int, queue: str = "default") -> list[TaskHandle[Any]]:
    return [client.handle(new_task_id(), queue=queue) for _ in range(count)]


def subscribed(redis: Redis) -> int:
    return len(redis.pubsub_channels("fluxqueue*"))


async def joined(redis: Redis, count: int) -> None:
    while subscribed(redis) != count:
        await asyncio.sleep(0.01)


def leaves_nothing(redis: Redis, client: FluxQueue) -> None:
    assert listener(client.settings).waits == 0
    wait_until(lambda: subscribed(redis) == 0)


def test_gathering_makes_no_asyncio_task_for_each_handle(redis: Redis, client: FluxQueue) -> None:
    handles = handles_of(client, 3_000)

    async def main() -> list[Any]:
        gathering = asyncio.create_task(gather(handles, 60))
        await joined(redis, 3_000)
        assert len(asyncio.all_tasks()) == 2
        for number, handle in enumerate(handles):
            store(redis, handle.id, str(number))
        return await gathering

    assert asyncio.run(main()) == list(range(3_000))
    leaves_nothing(redis, client)


def test_results_of_many_queues_namespaces_and_repeated_handles_keep_their_order(
    redis: Redis, redis_url: str, client: FluxQueue
) -> None:
    shop = FluxQueue(redis_url, namespace="shop")
    first, second = handles_of(client, 2)
    [other] = handles_of(client, 1, "other")
    [of_shop] = handles_of(shop, 1)

    async def main() -> list[Any]:
        handles = [second, of_shop, first, other, first]
        gathering = asyncio.create_task(gather(handles, 60))
        await joined(redis, 4)
        for value, handle in enumerate([first, second]):
            store(redis, handle.id, str(value))
        store(redis, other.id, "2", queue="other")
        store(redis, of_shop.id, "3", namespace="shop")
        return await gathering

    assert asyncio.run(main()) == [1, 3, 0, 2, 0]
    leaves_nothing(redis, client)
    leaves_nothing(redis, shop)


def test_gathering_ends_at_its_timeout_with_what_has_arrived(
    redis: Redis, client: FluxQueue
) -> None:
    handles = handles_of(client, 3)
    store(redis, handles[1].id, "7")

    async def main() -> list[Any]:
        with pytest.raises(ResultTimeout, match=handles[0].id):
            await gather(handles, 0.3)
        return await gather(handles, 0.3, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert second == 7
    assert [type(error) for error in (first, third)] == [ResultTimeout, ResultTimeout]
    assert third.task_id == handles[2].id
    leaves_nothing(redis, client)


def test_a_cancelled_gathering_leaves_nothing(redis: Redis, client: FluxQueue) -> None:
    handles = handles_of(client, 100)

    async def main() -> None:
        gathering = asyncio.create_task(gather(handles, 60))
        await joined(redis, 100)
        store(redis, handles[3].id, "7")
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering
        # The loop goes on to wait for others.
        waiting = asyncio.create_task(handles[5].result_async(60))
        await joined(redis, 1)
        store(redis, handles[5].id, "8")
        assert await waiting == 8

    asyncio.run(main())
    leaves_nothing(redis, client)


def test_gathering_nothing_gives_nothing() -> None:
    assert asyncio.run(gather([])) == []


def test_gathering_checks_each_handle(client: FluxQueue) -> None:
    @client.task()
    def plain() -> None: ...

    kept = handles_of(client, 2)
    with pytest.raises(ResultNotKept):
        asyncio.run(gather([*kept, plain.enqueue()], 1))
    with pytest.raises(ValueError, match="give seconds"):
        asyncio.run(gather(kept, -1))
    odd: Any = [kept[0], kept[1].id]
    with pytest.raises(TypeError, match="handle 1 is a str; pass the handles"):
        asyncio.run(gather(odd, 1))
    with pytest.raises(TypeError, match="handle 1 is a str; pass the handles"):
        gather_results_sync(odd, 1)
    alone: Any = kept[0]
    with pytest.raises(TypeError, match="pass an iterable of handles, not a FoundTask"):
        asyncio.run(gather(alone, 1))
    with pytest.raises(TypeError, match="pass an iterable of handles, not a FoundTask"):
        gather_results_sync(alone, 1)


def test_a_refusal_is_the_error_of_each_handle(redis: Redis, redis_url: str) -> None:
    wrong = FluxQueue(redis_url.replace("redis://", "redis://nobody:wrong@"))

    async def main() -> list[Any]:
        return await gather(handles_of(wrong, 2), 60, return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [BrokerError, BrokerError]
