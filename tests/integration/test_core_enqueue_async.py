"""`Producer.enqueue_async`: one connection per loop, one write per turn."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fluxqueue_core import Route
from support.loops import LOOPS, NewLoop, run
from support.producing import ROUTE, argument, numbers, producer
from support.raw_server import RawServer, greet
from support.scripted_redis import ScriptedRedis, integer


@LOOPS
@pytest.mark.parametrize("debug", [False, True])
def test_ten_thousand_gathered_keep_their_order(
    redis_url: str, redis: Any, new_loop: NewLoop, debug: bool
) -> None:
    async def main() -> None:
        calls = (sender.enqueue_async(ROUTE, (n,), {}) for n in range(10_000))
        assert await asyncio.gather(*calls) == [None] * 10_000

    sender = producer(redis_url)
    run(new_loop, main(), debug)
    assert numbers(redis) == list(range(10_000))


@LOOPS
@pytest.mark.parametrize("when", ["before the write", "before the answer"])
def test_a_loop_that_is_blocked_longer_than_the_timeout(
    redis_url: str, redis: Any, new_loop: NewLoop, when: str
) -> None:
    """Redis works. If the application blocks its loop, no call ends with an error."""

    async def main() -> None:
        if when == "before the answer":
            await sender.enqueue_async(ROUTE, (0,), {})
        calls = [sender.enqueue_async(ROUTE, (1,), {})]
        if when == "before the answer":
            await asyncio.sleep(0)
        time.sleep(1)
        calls.append(sender.enqueue_async(ROUTE, (2,), {}))
        time.sleep(1)
        assert await asyncio.gather(*calls) == [None, None]

    sender = producer(redis_url, timeout=0.8)
    run(new_loop, main())
    assert numbers(redis)[-2:] == [1, 2]


@LOOPS
def test_a_turn_of_the_loop_is_one_command_per_queue_and_chunk(new_loop: NewLoop) -> None:
    a, b = Route("a", "task"), Route("b", "task")

    async def main() -> None:
        await sender.enqueue_async(a, (0,), {})
        calls = [sender.enqueue_async((a, b)[n % 2], (n,), {}) for n in range(5_000)]
        await asyncio.gather(*calls)

    with ScriptedRedis() as server:
        sender = producer(server.url)
        run(new_loop, main())
        commands = server.pushed[1:]
        assert [len(words) - 2 for words in commands] == [1000, 1000, 500] * 2
        for words in commands:
            sent = [argument(word) for word in words[2:]]
            assert sent == sorted(sent)
        assert server.connections == 1


@LOOPS
def test_cancelled_before_the_end_of_the_turn_is_not_sent(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    async def main() -> None:
        for _ in range(2):  # while it connects, and when it is connected
            calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in range(4)]
            calls[1].cancel()
            calls[2].cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end) for end in ends] == [
                type(None),
                asyncio.CancelledError,
                asyncio.CancelledError,
                type(None),
            ]

    sender = producer(redis_url)
    run(new_loop, main())
    assert numbers(redis) == [0, 3, 0, 3]


@LOOPS
def test_cancelled_after_the_write_does_not_disturb_the_others(new_loop: NewLoop) -> None:
    async def main() -> None:
        await sender.enqueue_async(ROUTE, (0,), {})
        calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in range(3)]
        await asyncio.to_thread(server.await_pushes, 2)
        calls[1].cancel()
        go.set()
        await asyncio.gather(calls[0], calls[2])
        await sender.enqueue_async(ROUTE, (9,), {})

    def script(number: int, command: list[bytes]) -> bytes:
        if number == 1:
            go.wait(20)
        return integer(number, command)

    go = threading.Event()
    with ScriptedRedis(script) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert [len(words) - 2 for words in server.pushed] == [1, 3, 1]


@LOOPS
def test_a_slow_reader_gets_everything_in_order(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n, "x" * (1 << 20)), {}) for n in range(40)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*calls)

    def slow(connection: Any) -> None:
        greet(connection)
        go.wait(20)
        server.serve(connection)

    go = threading.Event()
    with RawServer(slow) as server:
        sender = producer(server.url, timeout=20)
        run(new_loop, main())
        assert [argument(message) for message in server.messages] == list(range(40))


@LOOPS
def test_a_chunk_is_one_command_and_one_future(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls: list[Any] = [(1,), {"a": 2}, (3,)]
        future = sender.enqueue_chunk_async(ROUTE, calls, lambda *args, **kwargs: None)
        await future
        await sender.enqueue_chunk_async(ROUTE, [], len)

    with ScriptedRedis() as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert [len(words) - 2 for words in server.pushed] == [3]


@LOOPS
def test_a_chunk_with_a_bad_call_sends_nothing(
    redis_url: str, redis: Any, new_loop: NewLoop
) -> None:
    def check(number: int) -> None:
        if number < 0:
            raise LookupError(number)

    async def main() -> None:
        cases: list[tuple[Any, type[Exception]]] = [
            ((-1,), LookupError),
            ((1, 2), TypeError),
            (({1},), TypeError),
            ("text", TypeError),
            ((float("nan"),), ValueError),
        ]
        for bad, kind in cases:
            with pytest.raises(kind) as caught:
                sender.enqueue_chunk_async(ROUTE, [(1,), (2,), bad, (3,)], check)
            assert caught.value.call_index == 2  # type: ignore[attr-defined]
        await sender.enqueue_async(ROUTE, ("end",), {})

    sender = producer(redis_url)
    run(new_loop, main())
    assert numbers(redis) == ["end"]
