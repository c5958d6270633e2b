from fluxqueue import FluxQueue
from record import FIELDS, TEXT, URL, record

queue = FluxQueue(URL)


@queue.task()
def noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)


def send(number: int) -> None:
    noop(number, TEXT, FIELDS)


def bulk(numbers: range) -> None:
    noop.enqueue_many([(number, TEXT, FIELDS) for number in numbers])
