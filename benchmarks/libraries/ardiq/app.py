from contextlib import asynccontextmanager

from ardiq import Ardiq
from record import FIELDS, TEXT, URL, record, setting

app = Ardiq(URL, result_ttl_ms=1_000, concurrency=setting("BENCH_CONCURRENCY", 0) or None)


@app.task()
async def noop(number: int, text: str, fields: dict) -> None:
    record(number)


@asynccontextmanager
async def opened():
    yield


async def send(number):
    await noop.enqueue(number, TEXT, FIELDS)


async def bulk(numbers):
    await app.enqueue_many([noop.prepare(number, TEXT, FIELDS) for number in numbers])
