import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from record import URL

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add_nothing(number):
    return number


def call(number):
    return add_nothing.send(number).get_result(block=True, timeout=60_000)


def call_many(numbers):
    group = dramatiq.group([add_nothing.message(number) for number in numbers]).run()
    return list(group.get_results(block=True, timeout=60_000))
