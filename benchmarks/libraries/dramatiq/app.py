import dramatiq
from dramatiq.brokers.redis import RedisBroker
from record import FIELDS, TEXT, URL, record

dramatiq.set_broker(RedisBroker(url=URL))


@dramatiq.actor
def noop(number, text, fields):
    record(number)


def send(number):
    noop.send(number, TEXT, FIELDS)
