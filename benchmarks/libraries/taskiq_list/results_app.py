import asyncio
from contextlib import asynccontextmanager

from record import URL
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = ListQueueBroker(URL).with_result_backend(RedisAsyncResultBackend(URL))


@broker.task
async def add_nothing(number: int) -> int:
    return number


@asynccontextmanager
async def opened():
    await broker.startup()
    yield
    await broker.shutdown()


async def call(number):
    task = await add_nothing.kiq(number)
    return (await task.wait_result(timeout=60)).return_value


async def call_many(numbers):
    return await asyncio.gather(*[call(number) for number in numbers])
