"""Records the attempts at the steps of an order, for the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fluxqueue import Context

from .orders import orders


@contextmanager
def step(ctx: Context, number: int, name: str) -> Iterator[None]:
    """Records an attempt at the step `name` of the order."""
    orders().begin(number, name)
    try:
        yield
    except Exception as error:
        orders().fail(number, name, str(error), final=is_last(ctx))
        raise
    orders().finish(number, name)


@asynccontextmanager
async def async_step(ctx: Context, number: int, name: str) -> AsyncIterator[None]:
    """The same on an event loop, which leaves waiting for Redis to threads."""
    await asyncio.to_thread(orders().begin, number, name)
    try:
        yield
    except Exception as error:
        await asyncio.to_thread(orders().fail, number, name, str(error), final=is_last(ctx))
        raise
    await asyncio.to_thread(orders().finish, number, name)


def is_last(ctx: Context) -> bool:
    """Whether the task has no retry left."""
    return ctx.metadata.retries >= ctx.metadata.max_retries
