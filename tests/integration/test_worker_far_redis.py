"""A Redis that answers after 30 ms: quick tasks are claimed ahead all the same."""

from __future__ import annotations

import time
from pathlib import Path

from fluxqueue_core import key
from support.proxy import Proxy, port_of
from support.system import System

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep(0.01)
"""
SLOTS, WAY = 16, 0.015


def test_what_is_claimed_covers_the_way(tmp_path: Path, redis_url: str) -> None:
    """At 1,600 a second 48 end before an answer comes: a worker that had claimed no more
    than its slots take would be idle for most of the time."""
    port, database = port_of(redis_url)
    with (
        Proxy(port, delay=WAY) as proxy,
        System(tmp_path, redis_url, APP, worker_url=f"{proxy.url}/{database}") as system,
    ):
        worker = system.start_worker(concurrency=SLOTS, log_level="warning")
        system.enqueue("work", range(4_000))
        # Not as it begins, when there is no rate yet.
        system.wait_for_ends(1_000)
        claimed = []
        for _ in range(50):
            time.sleep(0.02)
            names = system.redis.scan_iter(key("claimed", "default", "*"))
            claimed.append(sum(system.redis.hlen(name) for name in names))
        assert sum(number > 2 * SLOTS for number in claimed) > len(claimed) / 2, claimed
        assert worker.stop() == 0
