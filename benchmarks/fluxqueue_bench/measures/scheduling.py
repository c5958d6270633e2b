"""The scheduler's rates, and how long its scripts keep Redis busy."""

from __future__ import annotations

import time
from typing import Any

from fluxqueue_core import key, message_field

from fluxqueue_bench.harness import Bench

from .backlog import delay
from .measure import Values

# Redis logs every command that takes longer, in µs.
_SLOW = 100


def _slowest_ms(bench: Bench) -> float:
    entries = bench.client.slowlog_get(100_000)
    found = [int(entry["duration"]) for entry in entries if b"EVALSHA" in entry["command"]]
    return max(found, default=_SLOW) / 1000


def _watch_scripts(bench: Bench) -> None:
    bench.client.config_set("slowlog-max-len", 100_000)
    bench.client.config_set("slowlog-log-slower-than", _SLOW)
    bench.client.slowlog_reset()


def promotion(bench: Bench, n: int) -> Values:
    """n tasks that are due: from the first that is moved to the last."""
    bench.reset()
    delay(bench, n, time.time() - 1)
    _register(bench)
    _watch_scripts(bench)
    delayed = key("delayed", "default")
    with bench.scheduler():
        while (left := bench.client.zcard(delayed)) == n:
            time.sleep(0.001)
        began, first = time.perf_counter(), n - left
        while bench.client.zcard(delayed):
            time.sleep(0.005)
        took = time.perf_counter() - began
    return {"tasks/s": (n - first) / took, "slowest script ms": _slowest_ms(bench)}


def rescue(bench: Bench, n: int) -> Values:
    """n tasks of one lost worker: from the first that is given back to the last."""
    bench.reset()
    bench.enqueue("fill", n)
    pending, consumer = key("pending", "default"), "lost"
    messages: Any = bench.client.lrange(pending, 0, -1)
    with bench.client.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.hset(key("claimed", "default", consumer), message_field(message), message)
        pipeline.delete(pending)
        pipeline.zadd(key("consumers", "default"), {consumer: 1.0})
        pipeline.execute()
    _register(bench)
    _watch_scripts(bench)
    with bench.scheduler():
        while not (first := bench.client.llen(pending)):
            time.sleep(0.001)
        began = time.perf_counter()
        while (now := bench.client.llen(pending)) < len(messages):
            time.sleep(0.001)
        took = time.perf_counter() - began
    return {"tasks/s": (now - first) / took, "slowest script ms": _slowest_ms(bench)}


def _register(bench: Bench) -> None:
    bench.client.sadd(key("queues"), "default")
