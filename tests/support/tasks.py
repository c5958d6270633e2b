"""Tasks that take any arguments, and what their calls have put into Redis."""

from __future__ import annotations

import json
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import key, parse_message


def messages(redis: Any, queue: str = "default") -> list[dict[str, Any]]:
    """The waiting messages of the queue in the order of their turns, arguments decoded."""
    found = []
    for raw in reversed(redis.lrange(key("pending", queue), 0, -1)):
        message = parse_message(raw)
        message["args"] = json.loads(message["args"])
        message["kwargs"] = json.loads(message["kwargs"] or "{}")
        found.append(message)
    return found


def work_on(url: str, **options: Any) -> Any:
    @FluxQueue(url).task(**options)
    def work(*args: Any, **kwargs: Any) -> None: ...

    return work


def async_work_on(url: str, **options: Any) -> Any:
    @FluxQueue(url).task(**options)
    async def work(*args: Any, **kwargs: Any) -> None: ...

    return work
