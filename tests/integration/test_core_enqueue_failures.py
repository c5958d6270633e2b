"""`Producer.enqueue` with servers that answer late, wrongly or not at all: the error of the
caller, and the commands that are sent again.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from fluxqueue_core.errors import BrokerError, BrokerUnavailable, EnqueueUncertain
from support.producing import ROUTE, producer
from support.raw_server import RawServer, answer, cut_after, greet
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer


def test_while_redis_is_loading_the_call_waits() -> None:
    def loading(number: int, command: list[bytes]) -> bytes:
        return b"-LOADING Redis is loading the dataset\r\n" if number < 3 else b":1\r\n"

    with ScriptedRedis(loading) as server:
        producer(server.url).enqueue(ROUTE, (1,), {})
        assert len({command[2] for command in server.pushed}) == 1
        assert (len(server.pushed), server.connections) == (4, 1)


def test_a_redis_that_goes_on_loading_is_unavailable() -> None:
    with ScriptedRedis(lambda *_: b"-LOADING Redis is loading\r\n") as server:
        with pytest.raises(BrokerUnavailable, match=r"'task'.*LOADING.*was not enqueued"):
            producer(server.url, timeout=1).enqueue(ROUTE, (), {})
        assert len(server.pushed) > 1


@pytest.mark.parametrize(
    "answers", [b"+OK\r\n", b"$-1\r\n", b"*0\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"]
)
def test_an_answer_that_makes_no_sense_is_uncertain(answers: bytes) -> None:
    # Rule 13.
    def script(number: int, command: list[bytes]) -> bytes:
        return answers if number == 0 else integer(number, command)

    with ScriptedRedis(script) as server:
        sender = producer(server.url)
        with pytest.raises(EnqueueUncertain, match="may or may not be enqueued"):
            sender.enqueue(ROUTE, (1,), {})
        sender.enqueue(ROUTE, (2,), {})
        assert server.connections == 2


def test_a_server_that_does_not_speak_redis_is_unavailable() -> None:
    def web(connection: Any) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(web) as server, pytest.raises(BrokerUnavailable, match="Redis protocol"):
        producer(server.url, timeout=0.3).enqueue(ROUTE, (), {})


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    late = threading.Event()

    def slow(connection: Any) -> None:
        def pushed(words: list[bytes]) -> bytes:
            late.wait(20)
            return b":1\r\n"

        answer(connection, pushed)

    def refusing(connection: Any) -> None:
        answer(connection, lambda words: b"-OOM command not allowed\r\n")

    with RawServer(slow, refusing) as server:
        sender = producer(server.url, timeout=1)
        with pytest.raises(EnqueueUncertain, match="no answer in time"):
            sender.enqueue(ROUTE, (1,), {})
        late.set()
        with pytest.raises(BrokerError, match="OOM"):
            sender.enqueue(ROUTE, (2,), {})
        assert server.connections == 2


def test_after_a_failover_the_next_call_looks_for_the_new_master() -> None:
    def replica(connection: Any) -> None:
        answer(
            connection, lambda words: b"-READONLY You can't write against a read only replica.\r\n"
        )

    server = RawServer(replica, lambda connection: server.serve(connection))
    with server:
        sender = producer(server.url)
        with pytest.raises(BrokerError, match="READONLY"):
            sender.enqueue(ROUTE, (1,), {})
        sender.enqueue(ROUTE, (2,), {})
        assert (server.connections, len(server.messages)) == (2, 1)


def test_a_command_that_was_cut_before_its_end_is_sent_again() -> None:
    """Redis can't have executed a part of it."""
    server = RawServer(
        cut_after(100_000), cut_after(0), lambda connection: server.serve(connection)
    )
    with server:
        sender = producer(server.url, max_message_bytes=64 << 20)
        sender.enqueue(ROUTE, ("x" * (32 << 20),), {})
        assert (server.connections, len(server.messages)) == (3, 1)


def test_a_server_that_cuts_every_command_is_unavailable_in_the_end() -> None:
    with RawServer(cut_after(10)) as server:
        sender = producer(server.url, timeout=2, max_message_bytes=64 << 20)
        with pytest.raises(BrokerUnavailable, match="was not enqueued"):
            sender.enqueue(ROUTE, ("x" * (32 << 20),), {})
        assert server.connections > 1


def test_a_server_that_stops_reading_is_unavailable() -> None:
    def deaf(connection: Any) -> None:
        greet(connection)
        done.wait(20)

    done = threading.Event()
    with RawServer(deaf) as server:
        sender = producer(server.url, timeout=0.3, max_message_bytes=64 << 20)
        with pytest.raises(BrokerUnavailable, match="timed out"):
            sender.enqueue(ROUTE, ("x" * (32 << 20),), {})
        done.set()


def test_the_error_gives_the_reason_even_if_the_last_attempt_was_cut_short() -> None:
    def loading(connection: Any) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

    def silent(connection: Any) -> None:
        done.wait(20)

    done = threading.Event()
    with RawServer(loading, silent) as server:
        sender = producer(server.url, timeout=1.5)
        with pytest.raises(BrokerUnavailable, match="LOADING"):
            sender.enqueue(ROUTE, (), {})
        assert server.connections == 2
        done.set()


@pytest.mark.parametrize("script", [CLOSE, SILENCE])
def test_the_call_after_an_uncertain_one_is_sent_once(script: str) -> None:
    # Rule 13.
    def once(number: int, command: list[bytes]) -> Any:
        return script if number == 0 else integer(number, command)

    with ScriptedRedis(once) as server:
        sender = producer(server.url, timeout=1)
        with pytest.raises(EnqueueUncertain):
            sender.enqueue(ROUTE, (1,), {})
        sender.enqueue(ROUTE, (2,), {})
        assert [b"[2]" in words[2] for words in server.pushed] == [False, True]
