from mayu import App
from record import URL

app = App(broker=URL, result_ttl=60)


@app.task
def add_nothing(number):
    return number


def call(number):
    return add_nothing.send(number).result(timeout=60)


def call_many(numbers):
    handles = [add_nothing.send(number) for number in numbers]
    return [handle.result(timeout=60) for handle in handles]
