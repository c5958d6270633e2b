import asyncio
from contextlib import asynccontextmanager

from docket import Docket, Worker
from record import URL

docket = Docket("bench-results", URL)


async def add_nothing(number: int) -> int:
    return number


docket.register(add_nothing)


@asynccontextmanager
async def opened():
    async with docket:
        yield


async def call(number):
    execution = await docket.add(add_nothing)(number)
    return await execution.get_result()


async def call_many(numbers):
    executions = [await docket.add(add_nothing)(number) for number in numbers]

    # Each wait takes two connections of its pool, which has 100.
    waits = asyncio.Semaphore(40)

    async def result(execution):
        async with waits:
            return await execution.get_result()

    return await asyncio.gather(*[result(execution) for execution in executions])


async def main():
    async with docket, Worker(docket, concurrency=10) as worker:
        await worker.run_forever()


if __name__ == "__main__":
    asyncio.run(main())
