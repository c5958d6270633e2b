from contextlib import asynccontextmanager

from record import FIELDS, TEXT, URL, record, setting
from saq import Queue

queue = Queue.from_url(URL)


async def noop(context, *, number, text, fields):
    record(number)


settings = {
    "queue": queue,
    "functions": [noop],
    "concurrency": setting("BENCH_CONCURRENCY", 10),
}


@asynccontextmanager
async def opened():
    await queue.connect()
    yield
    await queue.disconnect()


async def send(number):
    # ttl -1 keeps no result.
    await queue.enqueue("noop", number=number, text=TEXT, fields=FIELDS, ttl=-1)
