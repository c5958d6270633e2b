import asyncio
from contextlib import asynccontextmanager

from ardiq import Ardiq
from record import URL

app = Ardiq(URL)


@app.task()
async def add_nothing(number: int) -> int:
    return number


@asynccontextmanager
async def opened():
    yield


async def call(number):
    job = await add_nothing.enqueue(number)
    return (await job.result(timeout=60)).value


async def call_many(numbers):
    jobs = await app.enqueue_many([add_nothing.prepare(number) for number in numbers])
    return [
        found.value for found in await asyncio.gather(*[job.result(timeout=60) for job in jobs])
    ]
