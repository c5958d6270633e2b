"""Free TCP ports for the servers that tests start.

A port that was only looked up may be taken before its server binds it: by another test, or by
the kernel for a connection. So a socket that is bound and does not listen holds each port. A
server that sets SO_REUSEADDR, as Redis and Python's servers do, can listen on it as well.
"""

from __future__ import annotations

import random
import socket
from collections import deque

HOST = "127.0.0.1"
# Below the ports that the kernel gives to connections; the bus of a cluster is 10,000 higher.
PORTS = range(12_000, 22_000)
BUS = 10_000


# How many results of `free_port` are held: more than one test uses.
MOST = 50
_held: dict[int, list[socket.socket]] = {}
_single: deque[int] = deque()


def free_port() -> int:
    """Returns a port on which no process listens. It is held until `MOST` others follow."""
    if len(_single) == MOST:
        release(_single.popleft())
    (port,) = free_ports(1, bus=False)
    _single.append(port)
    return port


def free_ports(count: int, *, bus: bool = True) -> list[int]:
    """Returns several of them, which are held until `release`, as a `RedisProcess` does.

    Args:
        bus: whether the port 10,000 above is free and held as well, for a node of a cluster.
    """
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        wanted = (port, port + BUS) if bus else (port,)
        sockets: list[socket.socket] = []
        try:
            sockets.extend(map(_hold, wanted))
        except OSError:  # it is taken
            for each in sockets:
                each.close()
            continue
        _held[port] = sockets
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError(f"no {count} free ports")


def release(port: int) -> None:
    """Gives a port back, when its server is gone."""
    for each in _held.pop(port, []):
        each.close()


def _hold(number: int) -> socket.socket:
    """Binds a port of which no other socket is bound.

    Raises:
        OSError: it is taken.
    """
    held = socket.socket()
    try:
        held.bind((HOST, number))
    except OSError:
        held.close()
        raise
    # After the bind: it would have shared a port that another test holds.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held
