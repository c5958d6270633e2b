from contextlib import asynccontextmanager

from record import FIELDS, TEXT, URL, record
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(URL)


@broker.task
async def noop(number: int, text: str, fields: dict) -> None:
    record(number)


@asynccontextmanager
async def opened():
    await broker.startup()
    yield
    await broker.shutdown()


async def send(number):
    await noop.kiq(number, TEXT, FIELDS)
