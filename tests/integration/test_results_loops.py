"""Waits for results on asyncio's loop and on uvloop's: each kind of wait, and its end."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest
from fluxqueue import FluxQueue, ResultTimeout, gather_results
from fluxqueue.waiting import listener
from fluxqueue_core import key, new_task_id
from redis import Redis
from support.loops import LOOPS, NewLoop, run
from support.outcomes import channel, store
from support.waiting import wait_until

REPORT = '{"progress":{"done":%d,"total":2,"note":"","at":1764430000007}}'


async def until_subscribed(redis: Redis, count: int) -> None:
    def subscribed() -> bool:
        return len(redis.pubsub_channels("fluxqueue:*")) == count

    await asyncio.to_thread(wait_until, subscribed)


def report(redis: Redis, task_id: str, done: int) -> None:
    """Reports progress, as the script of a worker does."""
    redis.set(key("result", "default", task_id), REPORT % done, px=60_000)
    redis.publish(channel(task_id), REPORT % done)


@LOOPS
def test_results_arrive_on_each_loop(redis: Redis, client: FluxQueue, new_loop: NewLoop) -> None:
    handles = [client.handle(new_task_id()) for _ in range(300)]

    async def main() -> list[Any]:
        single = [asyncio.create_task(handle.result_async(60)) for handle in handles[:100]]
        gathered = asyncio.create_task(gather_results(handles[100:], 60))
        await until_subscribed(redis, 300)
        for number, handle in enumerate(handles):
            # Some are larger than a message to the caller has room for.
            value = f'"{"x" * 5_000}"' if number % 10 == 0 else str(number)
            await asyncio.to_thread(store, redis, handle.id, value)
        return [*await asyncio.gather(*single), *await gathered]

    found = run(new_loop, main())
    assert found == ["x" * 5_000 if number % 10 == 0 else number for number in range(300)]
    assert listener(client.settings).waits == 0


@LOOPS
def test_a_wait_that_is_cancelled_or_late_leaves_nothing(
    redis: Redis, client: FluxQueue, new_loop: NewLoop
) -> None:
    late, cancelled = (client.handle(new_task_id()) for _ in range(2))

    async def main() -> None:
        waiting = asyncio.create_task(cancelled.result_async(60))
        await until_subscribed(redis, 1)
        with pytest.raises(ResultTimeout):
            await late.result_async(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until_subscribed(redis, 0)
        # The loop can wait again.
        store(redis, late.id, "7")
        assert await late.result_async(60) == 7

    run(new_loop, main())
    assert listener(client.settings).waits == 0


@LOOPS
def test_progress_is_watched_on_each_loop(
    redis: Redis, client: FluxQueue, new_loop: NewLoop
) -> None:
    handle = client.handle(new_task_id())

    async def main() -> list[float]:
        seen = []
        await asyncio.to_thread(report, redis, handle.id, 1)
        async for progress in handle.watch():
            seen.append(progress.done)
            if progress.done == 1:
                await asyncio.to_thread(report, redis, handle.id, 2)
            else:
                last = await handle.progress_async()
                assert last is not None and last.done == 2
                await asyncio.to_thread(store, redis, handle.id, "null")
        return seen

    assert run(new_loop, main()) == [1, 2]


@LOOPS
@pytest.mark.parametrize("kind", ["result", "watch", "unsent"])
def test_a_wait_of_a_loop_that_was_closed_leaves_nothing(
    redis: Redis,
    client: FluxQueue,
    new_loop: NewLoop,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = client.handle(new_task_id())
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(told.exc_value))
    loop = new_loop()
    # That a task is destroyed while it waits is what this test is about.
    loop.set_exception_handler(lambda _, context: None)

    async def watched() -> None:
        async for _ in handle.watch():
            pass

    waits = watched() if kind == "watch" else handle.result_async(60)
    waiting = loop.create_task(waits)
    if kind == "unsent":
        loop.run_until_complete(asyncio.sleep(0))
    else:
        loop.run_until_complete(until_subscribed(redis, 1))
    loop.close()
    del waiting, waits, loop
    # The next loop that waits ends the waits of closed ones.
    assert asyncio.run(client.handle(new_task_id()).progress_async()) is None
    gc.collect()
    wait_until(lambda: redis.pubsub_channels("fluxqueue:*") == [], 5)
    assert listener(client.settings).waits == 0
    assert ignored == []


def test_a_wait_that_is_closed_before_it_is_sent_is_not_sent(
    redis: Redis, client: FluxQueue
) -> None:
    unsent, sent = (client.handle(new_task_id()) for _ in range(2))

    async def main() -> None:
        closed = unsent.result_async(60).__await__()
        next(closed)
        closed.close()
        waiting = asyncio.create_task(sent.result_async(60))
        await until_subscribed(redis, 1)
        assert listener(client.settings).waits == 1
        store(redis, sent.id, "7")
        assert await waiting == 7

    asyncio.run(main())
    assert listener(client.settings).waits == 0
