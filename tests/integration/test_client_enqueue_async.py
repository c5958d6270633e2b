"""Calls of async tasks in event loops: in turns, in threads, cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from fluxqueue import FluxQueue
from support.connections import connections
from support.loops import LOOPS, NewLoop, run
from support.scripted_redis import ScriptedRedis, integer
from support.tasks import async_work_on, messages
from support.waiting import wait_until


@LOOPS
def test_thousands_are_gathered(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        assert await asyncio.gather(*map(work, range(5000))) == [None] * 5000
        async with asyncio.TaskGroup() as group:
            for number in range(5000, 6000):
                group.create_task(work(number))

    run(new_loop, main())
    assert [message["args"][0] for message in messages(redis)] == list(range(6000))


@LOOPS
def test_one_turn_of_the_loop_sends_one_command_for_each_queue(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    app = FluxQueue(redis_url)

    @app.task()
    async def one(a: int) -> None: ...

    @app.task(queue="other")
    async def two(a: int) -> None: ...

    async def main() -> int:
        await one(0)
        before = redis.info("commandstats")["cmdstat_lpush"]["calls"]
        await asyncio.gather(*map(one, range(50)), *map(two, range(50)))
        after = redis.info("commandstats")["cmdstat_lpush"]["calls"]
        return int(after) - int(before)

    assert run(new_loop, main()) == 2
    assert (len(messages(redis)), len(messages(redis, "other"))) == (51, 50)


async def work_once(work: Any, number: int) -> None:
    await work(number)


@LOOPS
def test_one_loop_after_another_can_enqueue(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)
    for number in range(30):
        run(new_loop, work_once(work, number))
    assert [message["args"][0] for message in messages(redis)] == list(range(30))
    # Connections of closed loops do not pile up.
    wait_until(lambda: connections(redis) <= 1)


@LOOPS
def test_loops_in_threads_at_once(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    work = async_work_on(redis_url)
    barrier = threading.Barrier(4)

    async def main(thread: int) -> None:
        barrier.wait()
        for number in range(50):
            await asyncio.gather(*(work(thread, number, i) for i in range(5)))

    threads = [threading.Thread(target=lambda n=n: run(new_loop, main(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tuple(message["args"]) for message in messages(redis)) == [
        (t, n, i) for t in range(4) for n in range(50) for i in range(5)
    ]


@LOOPS
def test_a_call_cancelled_in_its_turn_is_not_sent(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    work = async_work_on(redis_url)

    async def main() -> None:
        calls = [work(number) for number in range(10)]
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [n for n, result in enumerate(results) if result is not None] == [3]
        assert isinstance(results[3], asyncio.CancelledError)

    run(new_loop, main())
    assert [message["args"][0] for message in messages(redis)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


@LOOPS
def test_a_call_cancelled_after_the_write_leaves_the_others_alone(new_loop: NewLoop) -> None:
    async def main() -> None:
        await work("connected")
        calls = [work(number) for number in range(10)]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.to_thread(server.await_pushes, 2)
        calls[3].cancel()
        answer.set()
        results = await waiting
        assert [n for n, result in enumerate(results) if result is not None] == [3]
        await work("on the same connection")

    def script(number: int, command: list[bytes]) -> bytes:
        assert number != 1 or answer.wait(20)
        return integer(number, command)

    answer = threading.Event()
    with ScriptedRedis(script) as server:
        work = async_work_on(server.url)
        run(new_loop, main())
        # Written commands can't be called back.
        assert [len(command) - 2 for command in server.pushed] == [1, 10, 1]
        assert server.connections == 1


def test_a_call_without_a_loop_is_a_coroutine(redis_url: str, redis: Any) -> None:
    work = async_work_on(redis_url)
    asyncio.run(work(1))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(2))
    loop.close()
    assert [message["args"][0] for message in messages(redis)] == [1, 2]
