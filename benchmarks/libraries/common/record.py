"""The task of every library: one record in a file, about 1 µs, the same for all.

Runs in the environment of each library, so it needs the standard library only.
"""

from __future__ import annotations

import os
import struct
import time

URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379")
# The arguments of every task: its number and these.
TEXT, FIELDS = "hello-bench", {"a": 1, "b": "two", "ok": True}

_file = os.open(os.environ.get("BENCH_RECORDS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_pack = struct.Struct("<qqq").pack


def record(number: int) -> None:
    """Number (or the time of sending in ns), now in ns, process."""
    os.write(_file, _pack(number, time.time_ns(), os.getpid()))


def setting(name: str, default: int) -> int:
    """A number from the environment."""
    return int(os.environ.get(name, default))
