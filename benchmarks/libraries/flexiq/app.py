import os

from flexiq import Queue
from record import FIELDS, TEXT, URL, record, setting

queue = Queue(
    backend="redis",
    db_url=URL,
    scheduler_batch_size=setting("BENCH_BATCH", 0) or None,
    scheduler_poll_interval_ms=setting("BENCH_POLL", 50),
    # None leaves it to the library, which has it on for Redis.
    push_dispatch=False if os.environ.get("BENCH_PUSH") == "off" else None,
)


@queue.task()
def noop(number, text, fields):
    record(number)


def send(number):
    noop.delay(number, TEXT, FIELDS)


def bulk(numbers):
    queue.enqueue_many(noop.name, [(number, TEXT, FIELDS) for number in numbers])
