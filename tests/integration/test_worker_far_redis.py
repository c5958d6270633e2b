"""A Redis that answers after 30 ms: quick tasks are claimed ahead all the same."""

from __future__ import annotations

import time
from pathlib import Path

from fluxqueue_core import key
from redis import Redis
from support.cluster import Cluster
from support.proxy import Proxy

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep(0.01)
"""
SLOTS, WAY = 16, 0.015


def test_what_is_claimed_covers_the_way(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """At 1,600 a second 48 end before an answer comes: a worker that had claimed no more
    than its slots take would be idle for most of the time."""
    place, _, database = redis_url.rpartition("/")
    with (
        Proxy(int(place.rpartition(":")[2]), delay=WAY) as proxy,
        Cluster(tmp_path, f"redis://127.0.0.1:{proxy.port}/{database}", APP) as cluster,
    ):
        worker = cluster.start_worker(concurrency=SLOTS, log_level="warning")
        cluster.enqueue("work", range(4_000))
        # Not as it begins, when there is no rate yet.
        cluster.wait_for_ends(1_000)
        claimed = []
        for _ in range(50):
            time.sleep(0.02)
            names = list(redis.scan_iter(key("claimed", "default", "*")))
            claimed.append(sum(redis.hlen(name) for name in names))
        assert sum(number > 2 * SLOTS for number in claimed) > len(claimed) / 2, claimed
        assert worker.stop() == 0
