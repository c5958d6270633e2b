"""The application that is measured.

Each task leaves one fixed-size record in a file on a memory file system (about
1 µs), which is all that the measurements read. These are the sync ones: a worker that
has no others does without an event loop.
"""

from __future__ import annotations

import os
import time

from fluxqueue import FluxQueue

from .record import RECORD

PAYLOAD = ("hello-bench", {"a": 1, "b": "two", "ok": True})

fluxqueue = FluxQueue(os.environ["BENCH_URL"])
_records = os.open(
    os.environ.get("BENCH_RECORDS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT
)
_process = os.getpid()


def record(number: int) -> None:
    os.write(_records, RECORD.pack(number, time.time_ns(), _process))


@fluxqueue.task()
def noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)


@fluxqueue.task()
def silent(number: int, text: str, fields: dict[str, object]) -> None:
    """Leaves no record."""


@fluxqueue.task()
def nap(number: int, seconds: float) -> None:
    time.sleep(seconds)
    record(number)


@fluxqueue.task()
def compute(number: int) -> None:
    """Takes about 10 ms of one core."""
    total = 0
    for each in range(200_000):
        total += each
    record(number)


@fluxqueue.task(queue="small")
def in_small_queue(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)
