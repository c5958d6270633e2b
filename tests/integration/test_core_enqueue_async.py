"""`Producer.enqueue_async`: one connection per loop, one write per turn."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from fluxqueue_core import Producer, Route, Settings, key
from fluxqueue_core.errors import BrokerError, BrokerUnavailable, EnqueueUncertain
from support.raw_server import RawServer, answer, cut_after, greet, reset
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer

ROUTE = Route("q", "task")
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def producer(url: str, **options: Any) -> Producer:
    return Producer(Settings(url, **options))


def run(new_loop: NewLoop, main: Coroutine[Any, Any, Any], debug: bool = False) -> Any:
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=new_loop, debug=debug) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = runner.run(main)
        gc.collect()
    assert complaints == []
    return result


def argument(message: bytes) -> Any:
    return json.loads(message)["args"][0]


def numbers(redis: Any, queue: str = "q") -> list[Any]:
    return [argument(m) for m in redis.lrange(key("pending", queue), 0, -1)[::-1]]


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
    """Redis is well; what the application does to its loop ends no call."""

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
def test_written_without_an_answer_is_uncertain(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in range(3)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [EnqueueUncertain] * 3
        assert "no answer in time" in str(ends[0]) and "'task'" in str(ends[0])
        assert len({id(end) for end in ends}) == 3
        await sender.enqueue_async(ROUTE, (3,), {})

    def script(number: int, command: list[bytes]) -> Any:
        return SILENCE if number == 0 else integer(number, command)

    with ScriptedRedis(script) as server:
        sender = producer(server.url, timeout=0.3)
        run(new_loop, main())
        assert ([len(words) - 2 for words in server.pushed], server.connections) == ([3, 1], 2)


@LOOPS
def test_a_call_that_never_got_a_connection_is_unavailable(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in range(3)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [BrokerUnavailable] * 3

    with ScriptedRedis(greeting=SILENCE) as server:
        sender = producer(server.url, connect_timeout=0.1, timeout=0.5)
        run(new_loop, main())
        assert server.pushed == [] and server.connections > 1


@LOOPS
def test_each_call_has_its_own_timeout_while_redis_is_away(new_loop: NewLoop) -> None:
    """The second call, made when half of the first one's time was over, is still
    waiting when the first one fails, and gets the connection that comes then."""

    async def main() -> None:
        first = sender.enqueue_async(ROUTE, (1,), {})
        await asyncio.sleep(0.5)
        second = sender.enqueue_async(ROUTE, (2,), {})
        with pytest.raises(BrokerUnavailable):
            await first
        assert not second.done()
        back.set()
        await second

    def away(connection: Any) -> None:
        if back.is_set():
            server.serve(connection)
        reset(connection)

    back = threading.Event()
    with RawServer(away) as server:
        sender = producer(server.url, timeout=1.5)
        run(new_loop, main())
        assert [argument(message) for message in server.messages] == [2]


@LOOPS
def test_while_redis_is_loading_calls_wait_in_their_order(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (0,), {})]
        await asyncio.to_thread(server.await_pushes, 3)
        calls += [sender.enqueue_async(ROUTE, (n,), {}) for n in range(1, 3)]
        await asyncio.to_thread(server.await_pushes, 5)
        calls += [sender.enqueue_async(ROUTE, (n,), {}) for n in range(3, 5)]
        ready.set()
        await asyncio.gather(*calls)

    executed: list[bytes] = []

    def script(number: int, command: list[bytes]) -> bytes:
        if not ready.is_set():
            return b"-LOADING Redis is loading the dataset in memory\r\n"
        executed.extend(command[2:])
        return b":1\r\n"

    ready = threading.Event()
    with ScriptedRedis(script) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert [argument(message) for message in executed] == list(range(5))
        assert server.connections == 1


@LOOPS
def test_errors_of_redis_are_those_of_the_calls_they_answer(new_loop: NewLoop) -> None:
    a, b = Route("a", "task"), Route("b", "task")

    async def main() -> None:
        await sender.enqueue_async(a, (0,), {})
        ends = await asyncio.gather(
            *(sender.enqueue_async(route, (1,), {}) for route in (a, b, a)), return_exceptions=True
        )
        assert [type(end) for end in ends] == [BrokerError, type(None), BrokerError]
        assert ends[0] is not ends[2]

    def script(number: int, command: list[bytes]) -> bytes:
        return b"-OOM no\r\n" if number == 1 else integer(number, command)

    with ScriptedRedis(script) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert server.connections == 1


@LOOPS
def test_what_was_not_written_whole_is_sent_again(new_loop: NewLoop) -> None:
    """The connection is cut in the middle of large commands: the calls that the
    server may have are uncertain, all others arrive, none twice."""

    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n, "x" * (2 << 20)), {}) for n in range(10)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        uncertain = [n for n, end in enumerate(ends) if isinstance(end, EnqueueUncertain)]
        arrived = [n for n, end in enumerate(ends) if end is None]
        assert uncertain == list(range(len(uncertain)))
        assert uncertain + arrived == list(range(10))
        assert len(arrived) > 0
        assert [argument(message) for message in server.messages] == arrived

    server = RawServer(cut_after(100_000), lambda connection: server.serve(connection))
    with server:
        sender = producer(server.url, timeout=20)
        run(new_loop, main())


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
def test_a_reader_that_stops_leaves_nothing_hanging(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n, "x" * (4 << 20)), {}) for n in range(5)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} <= {EnqueueUncertain, BrokerUnavailable}
        assert type(ends[-1]) is BrokerUnavailable

    def deaf(connection: Any) -> None:
        connection.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
        greet(connection)
        done.wait(20)

    done = threading.Event()
    with RawServer(deaf) as server:
        sender = producer(server.url, timeout=0.5)
        run(new_loop, main())
        done.set()


@LOOPS
def test_a_server_that_dies_before_each_answer_is_not_asked_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        for _ in range(3):
            with pytest.raises(EnqueueUncertain):
                await sender.enqueue_async(ROUTE, (1,), {})

    with ScriptedRedis(lambda *_: CLOSE) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert (len(server.pushed), server.connections) == (3, 3)


@LOOPS
def test_answers_that_nobody_asked_for_end_the_connection(new_loop: NewLoop) -> None:
    def chatty(connection: Any) -> None:
        answer(connection, lambda words: b":1\r\n:2\r\n")

    async def main() -> None:
        for _ in range(2):
            await sender.enqueue_async(ROUTE, (1,), {})

    with RawServer(chatty) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert server.connections == 2


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
    before = redis.info("clients")["connected_clients"]
    sender = producer(redis_url)
    for _ in range(3):
        run(new_loop, main())
        gc.collect()
    assert [loop() is None for loop in loops] == [True, True, False]
    assert redis.info("clients")["connected_clients"] == before + 1
    sender.close()
    gc.collect()
    assert loops[2]() is None
    assert redis.info("clients")["connected_clients"] == before


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

    before = redis.info("clients")["connected_clients"]

    async def watched() -> None:
        await main()
        assert redis.info("clients")["connected_clients"] == before

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
def test_an_idle_connection_that_was_closed_is_replaced(new_loop: NewLoop) -> None:
    def brief(connection: Any) -> None:
        answer(connection, lambda words: b":1\r\n")

    def once(connection: Any) -> None:
        greet(connection)
        assert connection.recv(1000)
        connection.sendall(b":1\r\n")
        connection.close()
        closed.set()

    async def main() -> None:
        await sender.enqueue_async(ROUTE, (1,), {})
        closed.wait(20)  # the loop does not get to see it before the next write
        await sender.enqueue_async(ROUTE, (2,), {})

    closed = threading.Event()
    with RawServer(once, brief) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert server.connections == 2


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
