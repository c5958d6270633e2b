import asyncio
from contextlib import asynccontextmanager

from bullmq import Queue, Worker
from record import FIELDS, TEXT, URL, record, setting

OPTIONS = {"removeOnComplete": True}


@asynccontextmanager
async def opened():
    global queue
    queue = Queue("bench", {"connection": URL})
    yield
    await queue.close()


def data(number):
    return {"number": number, "text": TEXT, "fields": FIELDS}


async def send(number):
    await queue.add("noop", data(number), OPTIONS)


async def bulk(numbers):
    await queue.addBulk(
        [{"name": "noop", "data": data(number), "opts": OPTIONS} for number in numbers]
    )


async def process(job, token):
    record(job.data["number"])


async def main():
    Worker("bench", process, {"connection": URL, "concurrency": setting("BENCH_CONCURRENCY", 1)})
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
