from record import URL
from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(URL))


def add_nothing(number):
    return number


def call(number):
    return queue.enqueue(add_nothing, number).latest_result(timeout=60).return_value


def call_many(numbers):
    jobs = queue.enqueue_many([Queue.prepare_data(add_nothing, args=(n,)) for n in numbers])
    return [job.latest_result(timeout=60).return_value for job in jobs]
