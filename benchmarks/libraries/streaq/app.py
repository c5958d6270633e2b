from contextlib import asynccontextmanager

from record import FIELDS, TEXT, URL, record, setting
from streaq import Worker

worker = Worker(redis_url=URL, concurrency=setting("BENCH_CONCURRENCY", 16))


@worker.task(silent=True, ttl=0)
async def noop(number: int, text: str, fields: dict) -> None:
    record(number)


@asynccontextmanager
async def opened():
    async with worker:
        yield


async def send(number):
    await noop.enqueue(number, TEXT, FIELDS)


async def bulk(numbers):
    await worker.enqueue_many([noop.enqueue(number, TEXT, FIELDS) for number in numbers])
