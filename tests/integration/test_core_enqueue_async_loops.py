"""`Producer.enqueue_async` and the lives of loops, threads and processes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import weakref
from typing import Any

import pytest
from fluxqueue_core import Route
from support.connections import connections
from support.loops import LOOPS, NewLoop, run
from support.producing import ROUTE, numbers, producer
from support.waiting import wait_until


def test_without_a_running_loop() -> None:
    sender = producer("redis://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="no running event loop"):
        sender.enqueue_async(ROUTE, (), {})
    with pytest.raises(RuntimeError, match="no running event loop"):
        sender.enqueue_chunk_async(ROUTE, [], len)


@LOOPS
def test_a_loop_that_was_closed_is_forgotten(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    async def main() -> None:
        await sender.enqueue_async(ROUTE, (1,), {})
        loops.append(weakref.ref(asyncio.get_running_loop()))

    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    sender = producer(redis_url)
    for _ in range(3):
        run(new_loop, main())
        gc.collect()
    assert [loop() is None for loop in loops] == [True, True, False]
    wait_until(lambda: connections(redis) == 1)
    sender.close()
    gc.collect()
    assert loops[2]() is None
    wait_until(lambda: connections(redis) == 0)


@LOOPS
def test_a_producer_that_is_gone_closes_its_connection_to_a_loop_that_runs(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    async def main() -> None:
        sender = producer(redis_url)
        await sender.enqueue_async(ROUTE, (1,), {})
        last = sender.enqueue_async(ROUTE, (2,), {})
        del sender
        await last
        for _ in range(3):
            await asyncio.sleep(0)

    async def watched() -> None:
        await main()
        wait_until(lambda: connections(redis) == 0)

    run(new_loop, watched())
    assert numbers(redis) == [1, 2]


@LOOPS
def test_the_loop_does_not_keep_the_context_of_a_call(redis_url: str, new_loop: NewLoop) -> None:
    class Request:
        pass

    variable: contextvars.ContextVar[Request] = contextvars.ContextVar("request")

    async def main() -> None:
        async def handle() -> weakref.ref[Request]:
            request = Request()
            variable.set(request)
            await sender.enqueue_async(ROUTE, (1,), {})
            return weakref.ref(request)

        request = await asyncio.create_task(handle())
        await asyncio.sleep(0.2)
        gc.collect()
        assert request() is None

    sender = producer(redis_url, timeout=0.1)
    run(new_loop, main())


@LOOPS
def test_a_child_forked_in_a_loop_does_not_disturb_it(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    async def main() -> None:
        for number in range(3):
            pending = [sender.enqueue_async(ROUTE, (number,), {}) for _ in range(10)]
            if number:
                await asyncio.sleep(0)  # written, not answered
            child = os.fork()
            if child == 0:
                in_child()
            assert os.waitpid(child, 0)[1] == 0
            await asyncio.gather(*pending)

    def in_child() -> None:
        status = 1
        try:
            asyncio._set_running_loop(None)
            asyncio.run(child_main())
            sender.close()
            gc.collect()
            status = 0
        finally:
            os._exit(status)

    async def child_main() -> None:
        await sender.enqueue_async(ROUTE, ("child",), {})

    sender = producer(redis_url)
    run(new_loop, main())
    found = numbers(redis)
    assert found.count("child") == 3
    assert [n for n in found if n != "child"] == [n for n in range(3) for _ in range(10)]


@LOOPS
def test_loops_in_many_threads_at_once(redis_url: str, redis: Any, new_loop: NewLoop) -> None:
    def work(thread: int) -> None:
        async def main() -> None:
            for n in range(50):
                await asyncio.gather(
                    *(sender.enqueue_async(routes[thread], (n * 10 + k,), {}) for k in range(10))
                )
                sender.enqueue(routes[thread], ("sync",), {})

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    sender = producer(redis_url)
    routes = [Route(f"q{n}", "task") for n in range(8)]
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for route in routes:
        found = numbers(redis, route.queue)
        assert [n for n in found if n != "sync"] == list(range(500))
        assert found.count("sync") == 50
