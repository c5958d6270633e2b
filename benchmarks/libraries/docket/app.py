import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from docket import Docket, Worker
from record import FIELDS, TEXT, URL, record, setting

docket = Docket("bench", URL, execution_ttl=timedelta(0))  # keeps no result


async def noop(number: int, text: str, fields: dict) -> None:
    record(number)


docket.register(noop)


@asynccontextmanager
async def opened():
    async with docket:
        yield


async def send(number):
    await docket.add(noop)(number, TEXT, FIELDS)


async def bulk(numbers):
    await docket.add_many([docket.call(noop)(number, TEXT, FIELDS) for number in numbers])


async def main():
    async with (
        docket,
        Worker(
            docket,
            concurrency=setting("BENCH_CONCURRENCY", 10),
            minimum_check_interval=timedelta(milliseconds=setting("BENCH_CHECK_MS", 100)),
        ) as worker,
    ):
        await worker.run_forever()


if __name__ == "__main__":
    asyncio.run(main())
