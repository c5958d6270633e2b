"""The moments that calls give: when a task is due, and when it expires."""

from __future__ import annotations

import re
import time

# The expiry in the options of a new message.
_EXPIRY = re.compile(rb',"opts":\{[^{}]*?"x":()"\+(\d+)"')


def begin_expiry(message: bytes) -> bytes:
    """Replaces the time of an expiry by its moment, as `lua/lib/expiry.lua` does."""
    found = _EXPIRY.match(message, 50)
    if found is None:
        return message
    moment = time.time_ns() // 1_000_000 + int(found[2])
    return b"%b%d%b" % (message[: found.end(1)], moment, message[found.end() :])


def seconds_until(moment_ms: int | None) -> float:
    """By the clock that the application reads."""
    return 0.0 if moment_ms is None else max(moment_ms / 1000 - time.time(), 0.0)
