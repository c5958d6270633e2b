from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fluxqueue import FluxQueue
from record import FIELDS, TEXT, URL, record

queue = FluxQueue(URL)


@queue.task()
async def noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield


async def send(number: int) -> None:
    await noop(number, TEXT, FIELDS)


async def bulk(numbers: range) -> None:
    await noop.enqueue_many_async([(number, TEXT, FIELDS) for number in numbers])
