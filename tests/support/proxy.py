"""A small TCP proxy that breaks connections on demand.

    with Proxy(redis_port) as proxy:
        ...  # connect to proxy.url
        proxy.cut_all()

One thread with a selector. It can hold back the bytes that it forwards (`delay`) or
swallow them (`black_hole`), as a broken network does.

A connection is cut in one of three ways. RESET: both sides get a RST, and what
they have not read yet is lost. CLOSE: both sides read to the end of what was
sent, so Redis executes a request and the client never gets the reply. HALF_OPEN: the client's
side is reset, the server hears nothing for a second.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

RESET, CLOSE, HALF_OPEN = "reset", "close", "half-open"
WAYS = (RESET, CLOSE, HALF_OPEN)
# How long the server does not hear of a connection that is half open, in seconds.
UNHEARD = 1.0
CHUNK = 64 * 1024
# Closing with this sends a RST at once, as a machine that has been restarted would.
LINGER = struct.pack("ii", 1, 0)


def port_of(url: str) -> tuple[int, str]:
    """The port and the database of a URL."""
    place, _, database = url.rpartition("/")
    return int(place.rpartition(":")[2]), database


@dataclass(eq=False)
class _Link:
    """A client's socket and ours to the server, each with what it is owed. If chunks are held back
    for it, also with the moment at which the last of these goes on."""

    client: socket.socket
    server: socket.socket
    owed: dict[socket.socket, bytearray] = field(default_factory=dict)
    held_until: dict[socket.socket, float] = field(default_factory=dict)
    half_open: bool = False

    def other(self, side: socket.socket) -> socket.socket:
        return self.server if side is self.client else self.client


class Proxy:
    """Forwards connections to a port of this machine.

    Args:
        target: the port.
        delay: seconds that every chunk is held back, each way.

    Attributes:
        port: where to connect.
        cuts: how many connections have been cut on demand.
        black_hole: while True, connections are accepted and all that comes is
            swallowed; a connection that has lost bytes so is cut afterwards.
        swallowed: how often something has been swallowed.
        read: how many bytes have come, from both sides.
    """

    def __init__(self, target: int, *, delay: float = 0.0) -> None:
        self.delay = delay
        self.cuts = 0
        self.black_hole = False
        self.swallowed = 0
        self.read = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._lock = threading.RLock()
        self._links: dict[socket.socket, _Link] = {}
        self._swallowed: set[_Link] = set()
        self._late: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._in_the_middle: tuple[str, float] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def connections(self) -> int:
        """How many are whole."""
        with self._lock:
            return len(self._whole_links())

    def cut_all(self, how: str = RESET) -> int:
        """Cuts every connection; returns how many."""
        with self._lock:
            links = self._whole_links()
            for link in links:
                self._cut(link, how)
            self.cuts += len(links)
        self._wake()
        return len(links)

    def cut_one(self, chance: random.Random) -> int:
        """Cuts a random connection in a random way; returns 1, or 0 if there is no
        connection."""
        with self._lock:
            links = self._whole_links()
            if links:
                self._cut(chance.choice(links), chance.choice(WAYS))
                self.cuts += 1
        self._wake()
        return min(len(links), 1)

    def cut_in_the_middle(self, of: str, where: float) -> None:
        """Cuts the connection that next sends a command ("command") or is sent a
        reply ("reply"), when a part of it has been passed on.

        Args:
            where: from 0 to 1: after how much of what comes in one piece.
        """
        with self._lock:
            self._in_the_middle = (of, where)

    def _whole_links(self) -> list[_Link]:
        return [link for side, link in self._links.items() if side is link.client]

    def end_black_hole(self) -> None:
        """Forwards again; connections that have lost something are cut."""
        with self._lock:
            self.black_hole = False
            for link in list(self._swallowed):
                self._cut(link)
            self._swallowed.clear()
        self._wake()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped = True
        self._wake()
        self._thread.join()
        for link in list(self._links.values()):
            self._cut(link)
        self._selector.close()
        self._listener.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._stopped:
            with self._lock:
                first = self._late[0][0] if self._late else None
            timeout = None if first is None else max(0.0, first - time.monotonic())
            ready = self._selector.select(timeout)
            with self._lock:
                for key, mask in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj == self._wake_read:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, 64)
                    elif isinstance(key.fileobj, socket.socket):
                        self._serve(key.fileobj, mask)
                while self._late and self._late[0][0] <= time.monotonic():
                    heapq.heappop(self._late)[2]()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        link = _Link(client, server)
        for side in (client, server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.owed[side] = bytearray()
            self._links[side] = link
            self._selector.register(side, selectors.EVENT_READ)

    def _serve(self, side: socket.socket, mask: int) -> None:
        link = self._links.get(side)
        if link is None:
            return  # cut meanwhile
        try:
            if mask & selectors.EVENT_WRITE:
                self._write(link, side)
            if mask & selectors.EVENT_READ:
                chunk = side.recv(CHUNK)
                self.read += len(chunk)
                if not chunk:
                    self._cut(link)
                elif self.black_hole:
                    self._swallowed.add(link)
                    self.swallowed += 1
                elif link.half_open:
                    pass  # the client's side is gone
                elif self._is_to_be_cut(link, side) and len(chunk) > 1:
                    self._cut_after(link, side, chunk)
                else:
                    self._pass_on(link, link.other(side), chunk)
        except BlockingIOError:
            pass
        except OSError:
            self._cut(link)

    def _pass_on(self, link: _Link, side: socket.socket, chunk: bytes) -> None:
        """Forwards a chunk, when its delay is over. No chunk passes another one, even if the delay
        is shorter now."""
        due = max(time.monotonic() + self.delay, link.held_until.get(side, 0.0))
        if not self.delay and side not in link.held_until:
            self._forward(link, side, chunk)
            return
        link.held_until[side] = due
        self._later(due, partial(self._release, link, side, chunk, due))

    def _release(self, link: _Link, side: socket.socket, chunk: bytes, due: float) -> None:
        """Forwards a chunk that was held back until then."""
        if link.held_until.get(side) == due:
            # No later one is held back, or one of the same moment, which follows at once.
            del link.held_until[side]
        self._forward(link, side, chunk)

    def _is_to_be_cut(self, link: _Link, side: socket.socket) -> bool:
        direction = "command" if side is link.client else "reply"
        return self._in_the_middle is not None and self._in_the_middle[0] == direction

    def _cut_after(self, link: _Link, side: socket.socket, chunk: bytes) -> None:
        assert self._in_the_middle is not None
        where = self._in_the_middle[1]
        self._in_the_middle = None
        self._forward(link, link.other(side), chunk[: 1 + int(where * (len(chunk) - 2))])
        self._cut(link, CLOSE)
        self.cuts += 1

    def _later(self, due: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._late, (due, next(self._numbers), action))

    def _forward(self, link: _Link, side: socket.socket, chunk: bytes) -> None:
        if side not in self._links:
            return
        link.owed[side] += chunk
        try:
            self._write(link, side)
        except OSError:
            self._cut(link)

    def _write(self, link: _Link, side: socket.socket) -> None:
        owed = link.owed[side]
        with contextlib.suppress(BlockingIOError):
            while owed:
                del owed[: side.send(owed)]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if owed else 0)
        self._selector.modify(side, events)

    def _cut(self, link: _Link, how: str = RESET) -> None:
        link.half_open = how == HALF_OPEN
        if link.half_open:
            self._later(time.monotonic() + UNHEARD, partial(self._cut, link))
        for side in (link.client,) if link.half_open else (link.client, link.server):
            if self._links.pop(side, None) is not None:
                self._selector.unregister(side)
                with contextlib.suppress(OSError):
                    if how != CLOSE:
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                side.close()
