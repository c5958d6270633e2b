"""The control package in an event loop: coroutines in threads, with the clients of all of them."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

import pytest
from fluxqueue_control.aio import dead, purge, queues, registry, requeue, tasks, twins, workers
from fluxqueue_control.aio.servers import Servers
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, dead_reason
from redis.exceptions import ResponseError
from support.redis_cluster import RedisCluster
from support.redis_sentinel import RedisSentinel
from support.scripts import Outcome, Scripts, field, message


def kill(scripts: Scripts, count: int) -> None:
    raw = [message(number) for number in range(1, count + 1)]
    scripts.claim("c", *raw)
    why = dead_reason("failed", "it broke")
    scripts.exchange("c", outcomes=[Outcome(field(one), "dead", why, "1") for one in raw])


def test_a_page_is_read_and_its_tasks_are_enqueued_again(scripts: Scripts, redis_url: str) -> None:
    kill(scripts, 3)

    async def main() -> list[str]:
        async with Servers(Settings(redis_url)) as servers:
            client = await servers.of_queue("q")
            page = await dead.read_page(client, "q", limit=1)
            done = await requeue.requeue(client, "q", page.tasks)
            rest = [one async for one in requeue.replay(servers.finder("q"), "q")]
            return [one.verdict for one in (*done, *rest)]

    assert asyncio.run(main()) == ["requeued"] * 3
    assert len(scripts.list("pending")) == 3


def test_an_iterator_does_nothing_that_its_caller_has_not_asked_for(
    scripts: Scripts, redis_url: str
) -> None:
    scripts.enqueue(*(message(number) for number in range(1, 31)))

    async def main() -> int:
        async with Servers(Settings(redis_url)) as servers:
            client = await servers.of_queue("q")
            removals = purge.purge(client, "q", "waiting")
            async with contextlib.aclosing(removals):
                async for removed in removals:
                    return removed
        return 0

    assert asyncio.run(main()) == 10
    assert len(scripts.list("pending")) == 20


def test_a_hundred_calls_at_once_share_the_bounded_connections(redis: Any, redis_url: str) -> None:
    async def main() -> int:
        async with Servers(Settings(redis_url), client_name="many") as servers:
            client = await servers.of_queue("q")

            async def one(number: int) -> None:
                # The first ones meet a client, and a server, that do not have the script yet.
                found = await tasks.find(client, "q", f"{number:08}-0000-7000-8000-000000000000")
                assert found.task is None
                assert found.is_complete
                lengths = await queues.read_lengths(client, [f"q{number}"])
                assert lengths[f"q{number}"].dead == 0

            redis.script_flush()
            await asyncio.gather(*map(one, range(100)))
            return sum(each["name"] == "many" for each in redis.client_list())

    assert 0 < asyncio.run(main()) <= twins.THREADS


def test_errors_and_the_context_pass_through_the_thread(redis: Any, redis_url: str) -> None:
    current: ContextVar[str] = ContextVar("current", default="")
    redis.set("fluxqueue:{q}:consumers", "not a sorted set")

    async def main() -> None:
        current.set("of the caller")
        assert await twins.in_thread(current.get) == "of the caller"
        async with Servers(Settings(redis_url)) as servers:
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await workers.read_page(await servers.of_queue("q"), "q")
        redis.delete("fluxqueue:{q}:consumers")

    asyncio.run(main())


def test_threads_find_the_master_of_their_queue(redis_cluster: RedisCluster) -> None:
    names = [redis_cluster.queue_on(node) for node in redis_cluster.masters()] * 20

    async def main() -> set[str]:
        async with Servers(Settings(redis_cluster.url)) as servers:

            async def one(queue: str) -> RedisClient:
                client = await servers.of_queue(queue)
                lengths = await queues.read_lengths(client, [queue])
                assert lengths[queue].pending == 0
                return client

            clients = await asyncio.gather(*map(one, names))
            by_queue = {(queue, id(client)) for queue, client in zip(names, clients, strict=True)}
            assert len(by_queue) == len(set(names))
            return set(names)

    assert len(asyncio.run(main())) == len(redis_cluster.masters())


def test_threads_share_the_master_that_sentinels_name(redis_sentinel: RedisSentinel) -> None:
    async def main() -> None:
        async with Servers(Settings(redis_sentinel.url)) as servers:
            client = await servers.of_registry()
            found = await asyncio.gather(*(registry.read_names(client) for _ in range(30)))
            assert {each.names for each in found} == {()}

    asyncio.run(main())
