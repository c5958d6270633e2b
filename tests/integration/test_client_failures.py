"""Redis is down, silent or full, or breaks the connection. Each error says whether the
task is enqueued."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import BrokerError, BrokerUnavailable, EnqueueUncertain, FluxQueue, FluxQueueError
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support.connections import other_clients
from support.ports import free_port
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer
from support.waiting import wait_until

Call = Callable[..., None]


def sync(app: FluxQueue) -> None:
    @app.task()
    def work(a: int) -> None: ...

    work(1)


def in_loop(app: FluxQueue) -> None:
    @app.task()
    async def work(a: int) -> None: ...

    async def main() -> None:
        await work(1)

    asyncio.run(main())


def bulk(app: FluxQueue) -> None:
    @app.task()
    def work(a: int) -> None: ...

    work.enqueue_many([(1,)])


def bulk_in_loop(app: FluxQueue) -> None:
    @app.task()
    async def work(a: int) -> None: ...

    asyncio.run(work.enqueue_many_async([(1,)]))


EVERY = pytest.mark.parametrize("call", [sync, in_loop, bulk, bulk_in_loop])


@EVERY
@pytest.mark.parametrize("user", ["", "user:geheim@"])
def test_no_server_listens(call: Call, user: str) -> None:
    url = f"redis://{user}127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailable) as caught:
        call(FluxQueue(url, timeout=0.3))
    assert isinstance(caught.value, ConnectionError)
    assert "geheim" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "no Redis listens there: start one" in str(caught.value)
    # It starts none with a password.
    assert ("or for development `fluxqueue dev`" in str(caught.value)) is (user == "")
    assert caught.value.enqueued == 0


@EVERY
def test_a_server_that_accepts_and_says_nothing(call: Call) -> None:
    with ScriptedRedis(greeting=SILENCE) as server:
        with pytest.raises(BrokerUnavailable):
            call(FluxQueue(server.url, connect_timeout=0.2, timeout=0.5))
        assert server.pushed == []


@EVERY
def test_a_server_that_does_not_answer_the_command(call: Call) -> None:
    with ScriptedRedis(lambda number, command: SILENCE) as server:
        with pytest.raises(EnqueueUncertain):
            call(FluxQueue(server.url, timeout=1.5))
        assert len(server.pushed) == 1


@EVERY
def test_a_connection_that_breaks_after_the_write_is_uncertain_and_not_repeated(
    call: Call,
) -> None:
    with ScriptedRedis(lambda number, command: CLOSE) as server:
        with pytest.raises(EnqueueUncertain) as caught:
            call(FluxQueue(server.url, timeout=5))
        assert isinstance(caught.value, ConnectionError)
        assert not isinstance(caught.value, BrokerError)
        assert len(server.pushed) == 1


@EVERY
@pytest.mark.parametrize(
    "answer",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ],
)
def test_a_refused_task_was_not_enqueued(call: Call, answer: str) -> None:
    with ScriptedRedis(lambda number, command: f"-{answer}\r\n".encode()) as server:
        with pytest.raises(BrokerError, match=answer.split()[0]) as caught:
            call(FluxQueue(server.url))
        assert not isinstance(caught.value, BrokerUnavailable)


@EVERY
def test_a_wrong_password(call: Call) -> None:
    with EmbeddedRedis() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as admin:
            admin.sendall(b"CONFIG SET requirepass richtig\r\n")
            assert admin.recv(10) == b"+OK\r\n"
        for credentials in ("", ":falsch@", "someone:falsch@"):
            with pytest.raises(BrokerError) as caught:
                call(FluxQueue(f"redis://{credentials}127.0.0.1:{server.port}", timeout=5))
            assert "falsch" not in str(caught.value)
            assert "richtig" not in str(caught.value)
        call(FluxQueue(f"redis://:richtig@127.0.0.1:{server.port}"))
        with socket.create_connection(("127.0.0.1", server.port)) as admin:
            admin.sendall(b"CONFIG SET requirepass ''\r\n")  # so that its stop is asked as usual


@EVERY
def test_a_full_redis(call: Call) -> None:
    options = {"maxmemory": "1", "maxmemory-policy": "noeviction"}
    with EmbeddedRedis(options=options) as server, pytest.raises(BrokerError, match="OOM"):
        call(FluxQueue(server.url))


def test_a_dropped_idle_connection_is_replaced_without_an_error(redis_url: str, redis: Any) -> None:
    app = FluxQueue(redis_url)

    @app.task()
    def work(a: int) -> None: ...

    @app.task()
    async def async_work(a: int) -> None: ...

    def drop() -> None:
        dropped = other_clients(redis)
        assert dropped
        for client in dropped:
            redis.client_kill_filter(_id=client)
        wait_until(lambda: not other_clients(redis))

    async def main() -> None:
        for number in range(5):
            await async_work(number)
            drop()
            # Without a turn the client has to look itself, later the loop tells it.
            for _ in range(number):
                await asyncio.sleep(0)

    for number in range(5):
        work(number)
        drop()
    asyncio.run(main())
    assert redis.llen(key("pending", "default")) == 10


# Both kinds of call, in one loop.
@pytest.mark.filterwarnings("ignore::fluxqueue.FluxQueueWarning")
def test_redis_comes_back(tmp_path: Any) -> None:
    with EmbeddedRedis(tmp_path, appendfsync="always") as server:
        app = FluxQueue(server.url, connect_timeout=0.5, timeout=1.5)

        @app.task()
        def work(a: int) -> None: ...

        @app.task()
        async def async_work(a: int) -> None: ...

        async def main() -> None:
            work(1)
            await async_work(2)
            server.kill()
            with pytest.raises(FluxQueueError):
                work(3)
            with pytest.raises(BrokerUnavailable):
                work(3)
            with pytest.raises(FluxQueueError):
                await async_work(3)
            with pytest.raises(BrokerUnavailable):
                await async_work(3)
            server.start()
            work(4)
            await async_work(5)

        asyncio.run(main())
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"LLEN {key('pending', 'default')}\r\n".encode())
            assert client.recv(10) == b":4\r\n"


def test_a_call_waits_for_redis_within_its_timeout(tmp_path: Any) -> None:
    """While Redis restarts, a call made meanwhile succeeds."""
    import threading

    with EmbeddedRedis(tmp_path) as server:
        app = FluxQueue(server.url, connect_timeout=1, timeout=20)

        @app.task()
        def work(a: int) -> None: ...

        server.stop()
        call = threading.Thread(target=work, args=(1,))
        call.start()
        server.start()
        call.join()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"LLEN {key('pending', 'default')}\r\n".encode())
            assert client.recv(10) == b":1\r\n"


def test_all_calls_on_a_loops_connection_get_the_error() -> None:
    def script(number: int, command: list[bytes]) -> Any:
        return integer(number, command) if number == 0 else CLOSE

    with ScriptedRedis(script) as server:
        app = FluxQueue(server.url)

        @app.task()
        async def work(a: int) -> None: ...

        async def main() -> None:
            await work(0)
            results = await asyncio.gather(*map(work, range(100)), return_exceptions=True)
            assert [type(result) for result in results] == [EnqueueUncertain] * 100

        asyncio.run(main())
        assert [len(command) - 2 for command in server.pushed] == [1, 100]
