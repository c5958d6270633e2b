"""The application that is measured, with async tasks in addition to the sync ones."""

from __future__ import annotations

import asyncio

from .tasks import fluxqueue, record

__all__ = ["async_nap", "async_noop", "fluxqueue"]


@fluxqueue.task(queue="async")
async def async_noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)


@fluxqueue.task(queue="async")
async def async_nap(number: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    record(number)
