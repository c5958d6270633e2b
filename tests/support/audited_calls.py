"""Middleware that notes what happened to calls, and tasks that are called inside of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fluxqueue import Middleware
from fluxqueue.middleware import AsyncEnqueueSteps, EnqueueCall, EnqueueOutcome, EnqueueSteps
from fluxqueue_core import key
from redis import Redis

Declare = Callable[..., Any]


class Tenant(Middleware):
    """Adds a header, and notes what happened to each call."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.calls: list[EnqueueCall] = []
        self.outcomes: list[EnqueueOutcome] = []

    def enqueue(self, call: EnqueueCall) -> EnqueueSteps:
        call.headers["tenant"] = call.headers.get("tenant", "") + self.name
        self.calls.append(call)
        self.outcomes.append((yield))


class AsyncTenant(Tenant):
    async def enqueue_async(self, call: EnqueueCall) -> AsyncEnqueueSteps:
        await asyncio.sleep(0)
        call.headers["tenant"] = call.headers.get("tenant", "") + self.name
        self.calls.append(call)
        outcome = yield
        await asyncio.sleep(0)
        self.outcomes.append(outcome)


def sent(redis: Redis) -> list[dict[str, Any]]:
    """The pending messages, the first call first."""
    waiting: Any = redis.lrange(key("pending", "default"), 0, -1)
    return [json.loads(raw) for raw in reversed(waiting)]


def headers(redis: Redis) -> list[Any]:
    """Those of each pending message, the first call first."""
    return [message.get("headers") for message in sent(redis)]


async def awaited(task: Any, *args: Any) -> None:
    """Awaits a call."""
    await task(*args)


def call(task: Any, way: str) -> None:
    """Calls a task in one of four ways."""
    if way == "call":
        task.enqueue(1)
    elif way == "await":
        asyncio.run(awaited(task, 1))
    elif way == "many":
        task.enqueue_many([(1,)])
    else:
        asyncio.run(task.enqueue_many_async([(1,)]))
