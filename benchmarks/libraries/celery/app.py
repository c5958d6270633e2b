from celery import Celery, group
from record import FIELDS, TEXT, URL, record, setting

app = Celery("app", broker=URL)  # no result backend
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=setting("BENCH_PREFETCH", 4),
)


@app.task
def noop(number, text, fields):
    record(number)


def send(number):
    noop.delay(number, TEXT, FIELDS)


def bulk(numbers):
    # The nearest thing there is; it still publishes one message at a time.
    group(noop.s(number, TEXT, FIELDS) for number in numbers).apply_async()
