"""A replay of all dead tasks at a rate, killed in the middle and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from fluxqueue_core import key

from .filling import QUEUE

_PAGE = 10_000


def replay(redis: Any, url: str, rate: int) -> bool:
    """Replays; returns whether each task that was dead is enqueued once, at the rate."""
    wanted = {entry[:36] for entry in redis.zrange(key("dead", QUEUE), 0, -1)}
    kept = Counter(_ids(redis))
    began = time.monotonic()
    process = _begin(url, rate)
    # The moment is by what Redis has, and not by the clock.
    while redis.zcard(key("dead", QUEUE)) > len(wanted) // 2:
        assert process.poll() is None, "the replay has ended too early"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = redis.zcard(key("dead", QUEUE))
    first = (len(wanted) - left) / (time.monotonic() - began)
    began = time.monotonic()
    code = _begin(url, rate).wait()
    second = left / (time.monotonic() - began)
    found = Counter(_ids(redis)) - kept
    twice = [name for name, count in found.items() if count > 1]
    lost = wanted - found.keys()
    print(
        f"\nreplay of {len(wanted):,} at {rate:,}/s: {first:,.0f}/s, killed with {left:,} left, "
        f"then {second:,.0f}/s; {len(twice)} doubled, {len(lost)} lost, exit code {code}"
    )
    is_in_rate = max(first, second) <= rate * 1.05
    return not twice and not lost and code == 0 and found.keys() == wanted and is_in_rate


def _begin(url: str, rate: int) -> subprocess.Popen[bytes]:
    words = ["dead", "replay", "-q", QUEUE, "--all", "--rate", str(rate), "-r", url]
    return subprocess.Popen([sys.executable, "-m", "fluxqueue", *words], stdout=subprocess.DEVNULL)


def _ids(redis: Any) -> list[bytes]:
    """The ids of all tasks that wait, page by page: nothing changes meanwhile."""
    name, found = key("pending", QUEUE), []
    for start in range(0, redis.llen(name), _PAGE):
        found += [raw[13:49] for raw in redis.lrange(name, start, start + _PAGE - 1)]
    return found
