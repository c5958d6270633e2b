"""How long what a killed worker had in hand waits until it runs again."""

from __future__ import annotations

import time
from typing import Any

from fluxqueue_core import key

from fluxqueue_bench.harness import Bench

from .measure import Values


def sigkill(bench: Bench, n: int, seconds: float) -> Values:
    """n tasks of `seconds` each; one of two workers is killed when a third of them has
    run. Returns the seconds from the kill to the end of the last task (the killed
    worker's tasks end by far the last), how many never ran, and how many more than once.

    Raises:
        RuntimeError: the killed worker had nothing in hand, so nothing was measured.
        TimeoutError: after a minute there was still a task that waits or is claimed.
    """
    bench.reset()
    with bench.scheduler(), bench.worker("-c", "4") as first:
        consumers, deadline = key("consumers", "default"), time.monotonic() + 60
        while not bench.client.zcard(consumers):
            _sleep(deadline)
        names: Any = bench.client.zrange(consumers, 0, -1)
        with bench.worker("-c", "4"):
            while bench.client.zcard(consumers) < 2:
                _sleep(deadline)
            bench.enqueue("fill-nap", n, seconds)
            bench.wait_for(n // 3)
            bench.kill(first)
            killed = time.time_ns()
            in_hand: Any = bench.client.hlen(key("claimed", "default", names[0].decode()))
            if not in_hand:
                raise RuntimeError("the killed worker had no task in hand")
            while _left(bench):
                _sleep(deadline)
    records = bench.records()
    ran = {number for number, _, _ in records}
    return {
        "s": (max(end for _, end, _ in records) - killed) / 1e9,
        "in hand": in_hand,
        "lost": n - len(ran),
        "ran twice": len(records) - len(ran),
    }


def _sleep(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError("after a minute there were still tasks that wait or are claimed")
    time.sleep(0.02)


def _left(bench: Bench) -> bool:
    """Whether any task waits or is claimed."""
    client: Any = bench.client
    if client.llen(key("pending", "default")):
        return True
    return next(client.scan_iter(key("claimed", "default", "*"), count=1000), None) is not None
