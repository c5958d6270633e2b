from record import URL
from tarsk import App

app = App(broker=URL)


@app.task(result_ttl=60)
def add_nothing(number):
    return number


def call(number):
    return app.result(add_nothing.send(number)).get(timeout=60)


def call_many(numbers):
    ids = [add_nothing.send(number) for number in numbers]
    return [app.result(task_id).get(timeout=60) for task_id in ids]
