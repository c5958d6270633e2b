"""`Producer.enqueue_async` when Redis is down, silent, slow or breaks off."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fluxqueue_core import Route
from fluxqueue_core.errors import BrokerError, BrokerUnavailable, EnqueueUncertain
from support.loops import LOOPS, NewLoop, run
from support.producing import ROUTE, argument, producer
from support.raw_server import RawServer, answer, cut_after, greet, reset
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer


@LOOPS
def test_written_without_an_answer_is_uncertain(new_loop: NewLoop) -> None:
    # Rule 13.
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
        sender = producer(server.url, timeout=1)
        run(new_loop, main())
        assert ([len(words) - 2 for words in server.pushed], server.connections) == ([3, 1], 2)


@LOOPS
def test_a_call_that_never_got_a_connection_is_unavailable(new_loop: NewLoop) -> None:
    async def main() -> None:
        calls = [sender.enqueue_async(ROUTE, (n,), {}) for n in range(3)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [BrokerUnavailable] * 3

    with ScriptedRedis(greeting=SILENCE) as server:
        sender = producer(server.url, connect_timeout=0.2, timeout=1.5)
        run(new_loop, main())
        assert server.pushed == [] and server.connections > 1


@LOOPS
def test_each_call_has_its_own_timeout_while_redis_is_down(new_loop: NewLoop) -> None:
    """The second call, made later, still waits when the first one fails, and gets the
    connection that comes then."""

    async def main() -> None:
        first = sender.enqueue_async(ROUTE, (1,), {})
        # For this long the second call has time left when the first has none.
        await asyncio.sleep(2)
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
        sender = producer(server.url, timeout=3)
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
def test_commands_that_were_not_written_whole_are_sent_again(new_loop: NewLoop) -> None:
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
    # Rule 13.
    async def main() -> None:
        for _ in range(3):
            with pytest.raises(EnqueueUncertain):
                await sender.enqueue_async(ROUTE, (1,), {})

    with ScriptedRedis(lambda *_: CLOSE) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert (len(server.pushed), server.connections) == (3, 3)


@LOOPS
def test_unexpected_replies_end_the_connection(new_loop: NewLoop) -> None:
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
        time.sleep(0.01)  # a connection that was used within 0.1 ms counts as alive
        await sender.enqueue_async(ROUTE, (2,), {})

    closed = threading.Event()
    with RawServer(once, brief) as server:
        sender = producer(server.url)
        run(new_loop, main())
        assert server.connections == 2
