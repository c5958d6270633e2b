"""Whether a worker or queue waits while another one has too much."""

from __future__ import annotations

import time
from collections import Counter

from fluxqueue_core import key

from fluxqueue_bench.harness import Bench

from .measure import Values, latency


def two_workers(bench: Bench, n: int, seconds: float, fast: int = 0) -> Values:
    """Slow tasks in front of two workers: the share of the busier one. With `fast`, they
    come right after that many no-ops, which workers rightly prefetch."""
    bench.reset()
    with bench.worker() as first, bench.worker() as second:
        # Both have begun to work before the tasks come.
        bench.enqueue("fill-nap", 40, 0.01)
        bench.wait_for(40)
        time.sleep(1)
        if fast:
            bench.enqueue("fill", fast)
            bench.wait_for(40 + fast)
        bench.forget_records()
        bench.enqueue("fill-nap", n, seconds)
        bench.wait_for(n)
        did = Counter(process for _, _, process in bench.records())
        shares = [did[worker.pid] / n for worker in (first, second)]
    ends = [end for _, end, _ in bench.records()]
    took = (max(ends) - min(ends)) / 1e9 + seconds
    return {"part of the busier": max(shares), "of ideal": n * seconds / 8 / took}


def two_queues(bench: Bench, backlog: int) -> Values:
    """One worker serves a queue with a long backlog, and after it a small one:
    how long the tasks of the small one wait, which come one each 10 ms. Without a
    backlog this is what they would wait for anyway."""
    bench.reset()
    bench.enqueue("fill", max(backlog, 20))
    with bench.worker("-q", "default,small"):
        bench.wait_for(20)
        bench.enqueue("latency-small", 300)
        left = bench.client.llen(key("pending", "default"))
        while bench.client.llen(key("pending", "small")):
            time.sleep(0.002)
    found = latency(bench)
    return {**found, "left of the backlog": float(left)} if backlog else found
