"""A call ends in time although the server always sends or reads a little more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, EnqueueUncertain, FluxQueue
from support.waiting import seconds_since

TIMEOUT = 1.0
# A call may take no longer; the server needs far longer for all of it.
LATE = 4.0
LONGEST = 60.0
LARGE = 32 << 20


@contextmanager
def serving(serve: Callable[[socket.socket, float], None], *, greets: bool = True) -> Iterator[str]:
    """The URL of a server that calls `serve` for each connection, with the moment when
    it must end.

    Args:
        greets: whether it answers the first commands before that.
    """
    end = time.monotonic() + LONGEST

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=one, args=(client,), daemon=True).start()

    def one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(1 << 16)
            if greets:
                client.sendall(b"+OK\r\n")  # to SELECT
            serve(client, end)

    listener = socket.socket()
    # Little is on the way at a time.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answers_drop_by_drop(client: socket.socket, end: float) -> None:
    client.recv(1 << 16)
    client.sendall(b"-ERR ")
    while time.monotonic() < end:
        client.sendall(b"x")
        time.sleep(0.02)


def reads_drop_by_drop(client: socket.socket, end: float) -> None:
    # Too slow for all of it within `LATE`, and too often for a single write to wait.
    while time.monotonic() < end and client.recv(64 << 10):
        time.sleep(0.05)


def sync(url: str, argument: Any) -> None:
    @FluxQueue(url, timeout=TIMEOUT, max_message_bytes=LARGE).task()
    def work(a: Any) -> None: ...

    work(argument)


def bulk(url: str, argument: Any) -> None:
    @FluxQueue(url, timeout=TIMEOUT, max_message_bytes=LARGE).task()
    def work(a: Any) -> None: ...

    work.enqueue_many([(argument,)])


def in_loop(url: str, argument: Any) -> None:
    import asyncio

    @FluxQueue(url, timeout=TIMEOUT, max_message_bytes=LARGE).task()
    async def work(a: Any) -> None: ...

    async def main() -> None:
        await work(argument)

    asyncio.run(main())


@pytest.mark.parametrize("call", [sync, bulk, in_loop])
def test_an_answer_that_never_ends_is_given_up_in_time(call: Callable[[str, Any], None]) -> None:
    start = time.monotonic()
    with serving(answers_drop_by_drop) as url, pytest.raises(EnqueueUncertain):
        call(url, 1)
    assert time.monotonic() - start >= TIMEOUT
    assert seconds_since(start) < LATE


@pytest.mark.parametrize("call", [sync, bulk, in_loop])
def test_a_message_that_is_taken_too_slowly_is_given_up_in_time(
    call: Callable[[str, Any], None],
) -> None:
    start = time.monotonic()
    with serving(reads_drop_by_drop) as url, pytest.raises(BrokerUnavailable):
        # More than the sockets' buffers hold.
        call(url, "x" * (LARGE - 1000))
    assert time.monotonic() - start >= TIMEOUT
    assert seconds_since(start) < LATE


@pytest.mark.parametrize("call", [sync, bulk])
@pytest.mark.parametrize(
    ("scheme", "first"),
    [
        ("redis", b"+"),
        # The head of a record of TLS, which has 16 KiB.
        ("rediss", b"\x16\x03\x03\x40\x00"),
    ],
)
def test_a_greeting_that_comes_drop_by_drop_is_given_up_in_time(
    call: Callable[[str, Any], None], scheme: str, first: bytes
) -> None:
    """An event loop waits for no greeting: a thread makes its connection."""

    def greets_drop_by_drop(client: socket.socket, end: float) -> None:
        client.sendall(first)
        while time.monotonic() < end:
            client.sendall(b"x")
            time.sleep(0.02)

    start = time.monotonic()
    with serving(greets_drop_by_drop, greets=False) as url, pytest.raises(BrokerUnavailable):
        call(url.replace("redis://127.0.0.1", f"{scheme}://localhost"), 1)
    assert seconds_since(start) < LATE
