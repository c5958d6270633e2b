"""A TCP server whose every connection is a function of the test: for what a
Redis never does, such as to read half a command."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from .scripted_redis import _command

Handler = Callable[[socket.socket], None]


class RawServer:
    """Accepts connections, each in a thread: the n-th is the n-th handler's, the
    last handler gets all further ones.

    Attributes:
        connections: how many were accepted.
        messages: what `serve` was sent, in order.
    """

    def __init__(self, *handlers: Handler) -> None:
        self._handlers = handlers
        self.connections = 0
        self.messages: list[bytes] = []
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def serve(self, connection: socket.socket) -> None:
        """As Redis would, for one more connection."""
        answer(connection, lambda words: self._push(words))

    def _push(self, words: list[bytes]) -> bytes:
        self.messages += words[2:]
        return b":%d\r\n" % len(self.messages)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped.is_set():
                connection.close()
                return
            handler = self._handlers[min(self.connections, len(self._handlers) - 1)]
            self.connections += 1
            self._start(lambda c=connection, h=handler: self._handle(c, h))  # type: ignore[misc]

    def _handle(self, connection: socket.socket, handler: Handler) -> None:
        with connection:
            try:
                handler(connection)
            except OSError:
                return

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        # Closing the listener would not wake `accept`.
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join()
        self._listener.close()


def answer(connection: socket.socket, pushed: Callable[[list[bytes]], bytes | None]) -> None:
    """Serves commands until the client goes or `pushed`, which gets the words of
    each LPUSH and returns the answer, returns None."""
    with connection.makefile("rb") as stream:
        while (words := _command(stream.readline, stream.read)) is not None:
            reply = pushed(words) if words[0] == b"LPUSH" else b"+OK\r\n"
            if reply is None:
                return
            connection.sendall(reply)


def greet(connection: socket.socket) -> None:
    """Answers the SELECT with which every connection begins."""
    said = connection.recv(64)
    if not said:
        raise ConnectionAbortedError("the client had no time left to say anything")
    assert said.startswith(b"*2\r\n$6\r\nSELECT")
    connection.sendall(b"+OK\r\n")


def reset(connection: socket.socket) -> None:
    """Ends the connection with a RST, which loses unread bytes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut_after(size: int) -> Handler:
    """Reads `size` bytes after the greeting, then resets the connection."""

    def handle(connection: socket.socket) -> None:
        # A small window, so that the rest of a large command stays with the client.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greet(connection)
        left = size
        while left > 0 and (chunk := connection.recv(left)):
            left -= len(chunk)
        reset(connection)

    return handle
