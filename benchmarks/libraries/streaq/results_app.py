from contextlib import asynccontextmanager

from anyio import CapacityLimiter, create_task_group
from record import URL
from streaq import Worker

worker = Worker(redis_url=URL)


@worker.task()
async def add_nothing(number: int) -> int:
    return number


@asynccontextmanager
async def opened():
    async with worker:
        yield


async def call(number):
    task = await add_nothing.enqueue(number)
    return (await task.result(60)).result


async def call_many(numbers):
    tasks = [add_nothing.enqueue(number) for number in numbers]
    await worker.enqueue_many(tasks)
    found = {}
    # More than these wait for a connection of its pool until they give up.
    waits = CapacityLimiter(40)

    async def keep(task):
        async with waits:
            found[task.id] = (await task.result(60)).result

    async with create_task_group() as group:
        for task in tasks:
            group.start_soon(keep, task)
    return [found[task.id] for task in tasks]
