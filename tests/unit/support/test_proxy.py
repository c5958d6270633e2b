"""The proxy keeps what TCP promises: bytes arrive in the order in which they were sent."""

from __future__ import annotations

import contextlib
import random
import socket
import threading

from support.proxy import Proxy
from support.waiting import wait_until


def test_no_byte_passes_another_when_the_delay_changes() -> None:
    chance = random.Random(7)
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def read() -> None:
            connection, _ = server.accept()
            # The end of the proxy resets it.
            with connection, contextlib.suppress(ConnectionError):
                while chunk := connection.recv(1024):
                    got.extend(chunk)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        sent = bytes(number % 251 for number in range(100))
        with (
            Proxy(server.getsockname()[1]) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port)) as client,
        ):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(len(sent)):
                proxy.delay = chance.choice((0.0, 0.0, 0.01, 0.05))
                client.sendall(sent[number : number + 1])
                # The proxy must have read it with this delay.
                wait_until(lambda: proxy.read == number + 1, interval=0.001)  # noqa: B023
            wait_until(lambda: len(got) == len(sent))
        reader.join(10)
    assert bytes(got) == sent
