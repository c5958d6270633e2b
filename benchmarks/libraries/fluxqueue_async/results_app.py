from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fluxqueue import FluxQueue, gather_results
from record import URL

queue = FluxQueue(URL)


@queue.task(result_ttl=3600)
async def add_nothing(number: int) -> int:
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield


async def call(number: int) -> int:
    handle = await add_nothing.enqueue_async(number)
    return await handle.result_async()


async def call_many(numbers: Iterable[int]) -> list[int]:
    handles = await add_nothing.enqueue_each_async((number,) for number in numbers)
    return await gather_results(handles)
