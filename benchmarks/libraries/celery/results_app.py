from celery import Celery, group
from record import URL

app = Celery("bench", broker=URL, backend=URL)
app.conf.update(worker_hijack_root_logger=False)


@app.task
def add_nothing(number):
    return number


def call(number):
    return add_nothing.delay(number).get(timeout=60)


def call_many(numbers):
    return group(add_nothing.s(number) for number in numbers)().get(timeout=60)
