from fluxqueue import FluxQueue
from record import FIELDS, TEXT, URL

queue = FluxQueue(redis_url=URL)


@queue.task()
def noop(number: int, text: str, fields: dict) -> None: ...


def send(number):
    noop(number, TEXT, FIELDS)
