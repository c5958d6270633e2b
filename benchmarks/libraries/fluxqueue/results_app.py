from collections.abc import Iterable

from fluxqueue import FluxQueue, gather_results_sync
from record import URL

queue = FluxQueue(URL)


@queue.task(result_ttl=3600)
def add_nothing(number: int) -> int:
    return number


def call(number: int) -> int:
    return add_nothing.enqueue(number).result()


def call_many(numbers: Iterable[int]) -> list[int]:
    return gather_results_sync(add_nothing.enqueue_each((number,) for number in numbers))
