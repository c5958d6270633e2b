"""The application that is measured.

Each task leaves one fixed-size record in a file on a memory file system (about
1 µs), which is all that the measurements read.
"""

from __future__ import annotations

import os
import struct
import time

from fluxqueue import FluxQueue

RECORD = struct.Struct("<qq")  # number (or send time in ns), end in ns
PAYLOAD = ("hello-bench", {"a": 1, "b": "two", "ok": True})

fluxqueue = FluxQueue(os.environ["BENCH_URL"])
_records = os.open(
    os.environ.get("BENCH_RECORDS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT
)


def record(number: int) -> None:
    os.write(_records, RECORD.pack(number, time.time_ns()))


@fluxqueue.task()
def noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)


@fluxqueue.task(queue="async")
async def async_noop(number: int, text: str, fields: dict[str, object]) -> None:
    record(number)
