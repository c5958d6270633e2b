"""A Redis that answers well and keeps every byte that a client sends it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

Answer = Callable[[list[bytes]], bytes | None]
CLOSE = b"close"


def well(words: list[bytes]) -> bytes:
    """The replies of a good Redis to an enqueue and to WAIT and the like."""
    match words[0]:
        case b"LPUSH":
            return b":%d\r\n" % (len(words) - 2)
        case b"WAIT":
            return b":9\r\n"
        case b"WAITAOF":
            return b"*2\r\n:1\r\n:9\r\n"
        case _:
            return b"+OK\r\n"


class Wire:
    """Serves each connection in a thread.

    Args:
        answer: gets the words of a command; None means the answer of a good Redis, and
            `CLOSE` that the connection ends instead.

    Attributes:
        sent: the bytes of every connection, in the order of their opening.
    """

    def __init__(self, answer: Answer = lambda words: None) -> None:
        self._answer = answer
        self.sent: list[bytearray] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        # A `close` alone leaves an `accept` that waits.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            sent = bytearray()
            self.sent.append(sent)
            threading.Thread(target=self._serve, args=(connection, sent), daemon=True).start()

    def _serve(self, connection: socket.socket, sent: bytearray) -> None:
        with connection, connection.makefile("rb") as stream:
            while head := stream.readline():
                command, words = bytearray(head), []
                for _ in range(int(head[1:])):
                    size = stream.readline()
                    word = stream.read(int(size[1:]) + 2)
                    command += size + word
                    words.append(word[:-2])
                # Kept before it is answered: the client goes on when it has the answer.
                sent += command
                reply = self._answer(words)
                if reply == CLOSE:
                    return
                connection.sendall(reply or well(words))
