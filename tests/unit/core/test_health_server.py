"""The health endpoint and the probe that asks it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import health, probe
from fluxqueue_core.service.health import HealthServer
from support.ports import free_port
from support.probing import get, reasons
from support.waiting import wait_until


class Subject:
    """The object that the endpoint asks."""

    def __init__(self) -> None:
        self.stuck: list[str] = []
        self.not_ready: list[str] = []

    def live(self) -> list[str]:
        return self.stuck

    def ready(self) -> list[str]:
        return self.stuck + self.not_ready


@pytest.fixture
def subject() -> Subject:
    return Subject()


@pytest.fixture
def server(subject: Subject) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, subject.live, subject.ready)
    server.start()
    yield server
    server.close()


def test_a_healthy_process_gives_no_reasons(server: HealthServer) -> None:
    assert reasons(server.port, "/livez") == []
    assert reasons(server.port, "/readyz?verbose") == []


def test_the_body_says_what_is_wrong(server: HealthServer, subject: Subject) -> None:
    subject.not_ready = ['Redis is "away"', "it drains"]
    assert reasons(server.port, "/livez") == []
    assert reasons(server.port, "/readyz") == ['Redis is "away"', "it drains"]
    subject.stuck = ["the loop is stuck"]
    assert reasons(server.port, "/livez") == ["the loop is stuck"]


def test_a_check_that_raises_is_reported_as_a_reason(
    server: HealthServer, subject: Subject
) -> None:
    subject.stuck = None  # type: ignore[assignment]
    (why,) = reasons(server.port, "/readyz") or []
    assert "the check itself failed: TypeError" in why


def test_metrics_are_served_once_they_are_set(server: HealthServer) -> None:
    assert get(server.port, "/metrics")[0] == 404
    server.metrics = lambda: ("text/plain; version=0.0.4", b"up 1\n")
    assert get(server.port, "/metrics") == (200, "up 1\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /nothing HTTP/1.1", 404),
        ("POST /livez HTTP/1.1", 405),
        ("GET /livez HTTP/2", 505),
        ("GET /livez", 400),
        ("\xff\x00 nonsense", 400),
    ],
)
def test_other_requests_are_refused(server: HealthServer, request_line: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(f"{request_line}\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert answer.startswith(f"HTTP/1.1 {status} ")
    body = answer.partition("\r\n\r\n")[2]
    assert body and f"Content-Length: {len(body)}\r\n" in answer


def test_head_has_no_body(server: HealthServer) -> None:
    assert get(server.port, "/livez", "HEAD") == (200, "")


def test_silent_clients_keep_no_other_client_out(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    silent = [
        socket.create_connection(("127.0.0.1", server.port), 10)
        for _ in range(2 * health.MOST_AT_ONCE)
    ]
    try:
        assert reasons(server.port, "/livez") == []
        # They were sent away.
        assert [connection.recv(1) for connection in silent] == [b""] * len(silent)
    finally:
        for connection in silent:
            connection.close()


def test_an_endless_request_ends(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * health.LONGEST_REQUEST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_port_that_is_taken_is_named(server: HealthServer, subject: Subject) -> None:
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1 port {server.port}: .*in use"):
        HealthServer("127.0.0.1", server.port, subject.live, subject.ready)


def test_a_request_before_the_start_is_answered_after_it(subject: Subject) -> None:
    server = HealthServer("127.0.0.1", 0, subject.live, subject.ready)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        server.start()
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    server.close()


def test_after_close_the_port_refuses_connections(subject: Subject) -> None:
    server = HealthServer("127.0.0.1", 0, subject.live, subject.ready)
    server.start()
    server.close()
    wait_until(lambda: get(server.port, "/livez") == (0, ""), what="the end of listening")


FORKS = """
import os, signal
from fluxqueue_core.service.health import HealthServer
server = HealthServer("127.0.0.1", 0, list, list)
child = os.fork()
if child == 0:
    os.write(1, f"{server.port} {os.getpid()}".encode())
signal.pause()
"""


def test_a_process_that_a_task_forked_does_not_hold_the_port_of_a_killed_one() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    port, child = map(int, os.read(parent.stdout.fileno(), 100).split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        HealthServer("127.0.0.1", port, list, list).close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_probe_tells_the_status_by_its_exit_code(
    server: HealthServer, subject: Subject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.main([f"{server.port}/livez"]) == 0
    subject.not_ready = ["Redis is away"]
    assert probe.main([str(server.port)]) == 1
    assert "Redis is away" in capsys.readouterr().out
    assert probe.main([str(free_port())]) == 1
    assert probe.main(["localhost:80/"]) == 2


def test_the_probe_takes_the_port_from_the_environment(server: HealthServer) -> None:
    environment = os.environ | {"FLUXQUEUE_HEALTH_PORT": str(server.port)}
    command = [sys.executable, "-m", "fluxqueue_core.service.probe"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, '{"status":"ok"}\n')
    del environment["FLUXQUEUE_HEALTH_PORT"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and "FLUXQUEUE_HEALTH_PORT" in done.stderr
