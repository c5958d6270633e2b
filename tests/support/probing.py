"""Asks a health endpoint as a prober does."""

from __future__ import annotations

import http.client
import json
import socket


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body; (0, "") where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


def reasons(port: int, path: str) -> list[str] | None:
    """What is wrong: empty for a 200, None where nobody listens.

    Raises:
        AssertionError: status and body do not belong together.
    """
    status, body = get(port, path)
    if not status:
        return None
    said = json.loads(body)
    if status == 200:
        assert said == {"status": "ok"}
        return []
    assert status == 503 and said["status"] == "unavailable" and said["reasons"]
    found: list[str] = said["reasons"]
    return found
