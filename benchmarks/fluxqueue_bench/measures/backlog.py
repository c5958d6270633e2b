"""Whether anything becomes slower as more tasks wait."""

from __future__ import annotations

import time

from fluxqueue_core import key

from fluxqueue_bench.harness import Bench

from .measure import Values

# Moves up to ARGV[1] messages from the end of a list into a sorted set.
_TO_DELAYED = """
for _, message in ipairs(redis.call('RPOP', KEYS[1], ARGV[1]) or {}) do
    redis.call('ZADD', KEYS[2], ARGV[2], message)
end
"""


def delay(bench: Bench, n: int, due: float) -> None:
    """n tasks in the delayed set, due at a Unix time in seconds."""
    pending, delayed = key("pending", "default"), key("delayed", "default")
    bench.enqueue("fill", n)
    for _ in range(-(-n // 1_000)):
        bench.client.eval(_TO_DELAYED, 2, pending, delayed, "1000", str(int(due * 1000)))


def waiting(bench: Bench, n: int, delayed: int = 0) -> Values:
    """Enqueue and worker rate with so many tasks waiting, or delayed, already."""
    bench.reset()
    if delayed:
        delay(bench, delayed, time.time() + 86_400)
    bench.enqueue("fill", n)
    sent = 20_000
    seconds = bench.enqueue("one", sent)
    worked = min(n, 100_000)
    with bench.worker():
        bench.wait_for(worked)
    ends = [end for _, end, _ in bench.records()][:worked]
    return {
        "enqueued/s": sent / seconds,
        "worked/s": (worked - 1) / ((max(ends) - min(ends)) / 1e9),
    }
