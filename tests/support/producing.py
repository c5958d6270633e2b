"""A bare `Producer`, and what its calls have put into Redis."""

from __future__ import annotations

import json
from typing import Any

from fluxqueue_core import Producer, Route, Settings, key

ROUTE = Route("q", "task")


def producer(url: str, **options: Any) -> Producer:
    return Producer(Settings(url, **options))


def argument(message: bytes) -> Any:
    return json.loads(message)["args"][0]


def numbers(redis: Any, queue: str = "q") -> list[Any]:
    return [argument(m) for m in redis.lrange(key("pending", queue), 0, -1)[::-1]]
