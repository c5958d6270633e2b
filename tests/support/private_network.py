"""Servers at port 6379 of a network that belongs to one test (the fixture `network`)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fluxqueue.redis_binary import redis_server_path

from .network_namespace import in_network_of
from .waiting import wait_until

__all__ = ["in_network_of", "listening", "redis_in"]


@contextlib.contextmanager
def listening(
    network: int, *command: str, address: str = "127.0.0.1"
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server in the network; returns when it listens at port 6379 of the address."""
    probe = f"import socket; socket.create_connection(({address!r}, 6379)).close()"
    with subprocess.Popen(in_network_of(network, command), stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(
                lambda: (
                    subprocess.run(
                        in_network_of(network, [sys.executable, "-c", probe]), capture_output=True
                    ).returncode
                    == 0
                )
            )
            yield server
        finally:
            server.kill()


def redis_in(folder: Path, *options: str) -> list[str]:
    """Returns the command of a redis-server at port 6379."""
    words = ["--port", "6379", "--dir", str(folder), "--save", "", "--bind", "127.0.0.1"]
    return [redis_server_path(), *words, *options]
