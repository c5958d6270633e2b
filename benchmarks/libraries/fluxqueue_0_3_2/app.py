from fluxqueue import FluxQueue
from record import FIELDS, TEXT, URL, record

queue = FluxQueue(redis_url=URL)


@queue.task()
def noop(number: int, text: str, fields: dict) -> None:
    record(number)


def send(number):
    noop(number, TEXT, FIELDS)
