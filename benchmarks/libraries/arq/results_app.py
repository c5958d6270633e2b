import asyncio
from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings
from record import URL

LOG = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}


async def add_nothing(context, number):
    return number


class WorkerSettings:
    functions = (add_nothing,)
    redis_settings = RedisSettings.from_dsn(URL)


@asynccontextmanager
async def opened():
    global pool
    pool = await create_pool(WorkerSettings.redis_settings)
    yield
    await pool.aclose()


async def call(number):
    job = await pool.enqueue_job("add_nothing", number)
    return await job.result(timeout=60)


async def call_many(numbers):
    return await asyncio.gather(*[call(number) for number in numbers])
