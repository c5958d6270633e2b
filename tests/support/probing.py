"""Asks a health endpoint as a prober does."""

from __future__ import annotations

import http.client
import json

from .waiting import PATIENCE


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body; (0, "") if no process listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


def reasons(port: int, path: str) -> list[str] | None:
    """The reasons for not being well: empty for a 200, None if no process listens.

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
