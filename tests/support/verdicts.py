"""The ways in which a bare producer enqueues calls that want verdicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue_core import Route, new_task_id

# Each call's id, and the id of the task that is there in its place.
Verdicts = list[tuple[str, str | None]]
Way = Callable[..., Verdicts]


def due_route(due: dict[str, Any]) -> Route:
    return Route("q", "task", **(due or {"delay": 0}))


def sync(sender: Any, ids: list[str], **due: int) -> Verdicts:
    route = due_route(due)
    return [
        (task_id, sender.enqueue(route, (number,), {}, None, task_id))
        for number, task_id in enumerate(ids)
    ]


def one_async(sender: Any, route: Route, number: int, task_id: str) -> Any:
    """A future with the verdict on one call."""
    return sender.enqueue_chunk_async(
        route, [(number,)], lambda _: None, lambda *_: (None, task_id), verdicts=True
    )


def event_loop(sender: Any, ids: list[str], **due: int) -> Verdicts:
    async def run() -> Verdicts:
        route = due_route(due)
        calls = (one_async(sender, route, number, task_id) for number, task_id in enumerate(ids))
        return [verdict for of_call in await asyncio.gather(*calls) for verdict in of_call]

    return asyncio.run(run())


def bulk(sender: Any, ids: list[str], **due: int) -> Verdicts:
    stamps = iter(ids)
    calls = [(number,) for number in range(len(ids))]
    verdicts: Verdicts = sender.enqueue_many(
        due_route(due), calls, lambda _: None, lambda *_: (None, next(stamps)), verdicts=True
    )
    return verdicts


each_way = pytest.mark.parametrize("way", [sync, event_loop, bulk])


def ids(count: int) -> list[str]:
    return [new_task_id() for _ in range(count)]
