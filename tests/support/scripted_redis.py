"""A server that knows the commands that a producer sends, and misbehaves on demand: the
test decides how each LPUSH is answered."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from .waiting import wait_on

# A test's script may answer these instead of bytes.
SILENCE = "silence"  # keep the connection, say nothing
CLOSE = "close"  # read the command, then close the connection

Answer = bytes | str
Script = Callable[[int, list[bytes]], Answer]


def integer(number: int, command: list[bytes]) -> bytes:
    """Answers as a Redis whose list was empty."""
    return b":%d\r\n" % (len(command) - 2)


class ScriptedRedis:
    """Serves each connection in a thread, until `stop`.

    Args:
        lpush: gets the number of the LPUSH (from 0) and its words.
        greeting: what AUTH and SELECT are answered.

    Attributes:
        pushed: the words of every LPUSH that was read, in order.
        connections: how many were opened.
    """

    def __init__(self, lpush: Script = integer, greeting: Answer = b"+OK\r\n") -> None:
        self._lpush = lpush
        self._greeting = greeting
        self.pushed: list[list[bytes]] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def await_pushes(self, number: int) -> None:
        """Waits until `number` LPUSH have been read."""
        wait_on(self._changed, lambda: len(self.pushed) >= number, what=f"{number} LPUSH")

    def await_connections(self, number: int) -> None:
        """Waits until `number` connections have been opened."""
        wait_on(self._changed, lambda: self.connections >= number, what=f"{number} connections")

    def stop(self) -> None:
        # A `close` alone leaves an `accept` that waits, which takes one more client.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in self._open.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> ScriptedRedis:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._open.add(connection)
                self.connections += 1
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while (command := _command(stream.readline, stream.read)) is not None:
                    answer = self._answer(command)
                    if answer == CLOSE:
                        return
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
        except OSError:
            pass
        finally:
            self._open.discard(connection)

    def _answer(self, command: list[bytes]) -> Answer:
        if command[0].upper() != b"LPUSH":
            return self._greeting
        with self._changed:
            number = len(self.pushed)
            self.pushed.append(command)
            self._changed.notify_all()
        return self._lpush(number, command)


def _command(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> list[bytes] | None:
    head = readline()
    if not head.startswith(b"*"):
        return None
    words = []
    for _ in range(int(head[1:])):
        size = int(readline()[1:])
        words.append(read(size + 2)[:-2])
    return words
