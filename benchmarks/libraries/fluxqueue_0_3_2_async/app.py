from contextlib import asynccontextmanager

from fluxqueue import FluxQueue
from record import FIELDS, TEXT, URL, record

queue = FluxQueue(redis_url=URL)


@queue.task()
async def noop(number: int, text: str, fields: dict) -> None:
    record(number)


@asynccontextmanager
async def opened():
    yield


async def send(number):
    await noop(number, TEXT, FIELDS)
