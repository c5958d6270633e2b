from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings
from record import FIELDS, TEXT, URL, record, setting

LOG = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}


async def noop(context, number, text, fields):
    record(number)


class WorkerSettings:
    functions = (noop,)
    redis_settings = RedisSettings.from_dsn(URL)
    keep_result = 0
    max_jobs = setting("BENCH_CONCURRENCY", 10)
    poll_delay = setting("BENCH_POLL_MS", 500) / 1000


@asynccontextmanager
async def opened():
    global pool
    pool = await create_pool(WorkerSettings.redis_settings)
    yield
    await pool.aclose()


async def send(number):
    await pool.enqueue_job("noop", number, TEXT, FIELDS)
