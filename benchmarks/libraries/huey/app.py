from huey import RedisHuey
from record import FIELDS, TEXT, URL, record

huey = RedisHuey("bench", url=URL, results=False)


@huey.task()
def noop(number, text, fields):
    record(number)


def send(number):
    noop(number, TEXT, FIELDS)
