"""The connections to the test's database."""

from __future__ import annotations

from typing import Any


def other_clients(redis: Any) -> list[str]:
    """The ids of the connections to the test's database, without its own."""
    own = {name: str(value) for name, value in redis.client_info().items()}
    same = (client for client in redis.client_list() if client["db"] == own["db"])
    return [client["id"] for client in same if client["id"] != own["id"]]


def connections(redis: Any) -> int:
    return len(other_clients(redis))
