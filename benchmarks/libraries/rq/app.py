from record import FIELDS, TEXT, URL, record
from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(URL))


def noop(number, text, fields):
    record(number)


def send(number):
    queue.enqueue(noop, number, TEXT, FIELDS, result_ttl=0)


def bulk(numbers):
    queue.enqueue_many(
        [Queue.prepare_data(noop, args=(number, TEXT, FIELDS), result_ttl=0) for number in numbers]
    )
