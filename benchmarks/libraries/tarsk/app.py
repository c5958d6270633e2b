from record import FIELDS, TEXT, URL, record
from tarsk import App

app = App(broker=URL)


@app.task()
def noop(number, text, fields):
    record(number)


def send(number):
    noop.send(number, TEXT, FIELDS)
