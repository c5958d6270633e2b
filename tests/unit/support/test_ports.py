"""The ports that tests give to their servers."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import BUS, HOST, MOST, free_port, free_ports, release
from support.redis_process import RedisProcess


def can_bind(number: int) -> bool:
    with socket.socket() as other:
        try:
            other.bind((HOST, number))
        except OSError:
            return False
    return True


def test_no_other_process_gets_a_port_that_is_held() -> None:
    for port in free_ports(3):
        assert not can_bind(port)
        assert not can_bind(port + BUS)
    code = f"import socket; socket.socket().bind(('{HOST}', {free_port()}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Address already in use" in done.stderr


def test_a_released_port_is_free() -> None:
    (port,) = free_ports(1)
    release(port)
    assert can_bind(port)
    assert can_bind(port + BUS)
    release(port)


def test_only_the_last_single_ports_are_held() -> None:
    ports = [free_port() for _ in range(MOST + 1)]
    assert can_bind(ports[0])
    assert not any(map(can_bind, ports[1:]))


def test_a_port_that_is_held_refuses_connections() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_server_listens_on_a_port_that_is_held_and_again_after_its_end(tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        with socket.create_server((HOST, port)), socket.create_connection((HOST, port)):
            pass
    (port,) = free_ports(1)
    redis = RedisProcess(tmp_path / "redis", port, {})
    try:
        for _ in range(2):
            redis.start()
            redis.kill()
    finally:
        redis.kill()
    assert not can_bind(port + BUS)
    del redis
    gc.collect()
    # The port itself is busy for a while after its connections.
    assert can_bind(port + BUS)
