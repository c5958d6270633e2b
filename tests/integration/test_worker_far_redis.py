"""A worker claims quick tasks ahead even if Redis answers after 30 ms."""

from __future__ import annotations

import itertools
import time
from collections import deque
from pathlib import Path

from fluxqueue_core import key
from support.proxy import Proxy, port_of
from support.system import System
from support.waiting import wait_until

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        time.sleep(0.01)
"""
SLOTS, WAY, SAMPLES = 16, 0.015, 50


def test_claims_cover_the_round_trip(tmp_path: Path, redis_url: str) -> None:
    """At 1,600 tasks a second 48 end before an answer comes: a worker that claimed only
    as many as it has slots would be idle most of the time."""
    port, database = port_of(redis_url)
    with (
        Proxy(port, delay=WAY) as proxy,
        System(tmp_path, redis_url, APP, worker_url=f"{proxy.url}/{database}") as system,
    ):
        worker = system.start_worker(concurrency=SLOTS, log_level="warning")
        claimed: deque[int] = deque(maxlen=SAMPLES)
        numbers = itertools.count()

        def ahead() -> bool:
            """Whether more than half of the last samples show tasks claimed ahead."""
            if system.redis.llen(key("pending", "default")) < 2_000:
                system.enqueue("work", itertools.islice(numbers, 2_000))
            time.sleep(0.02)
            names = system.redis.scan_iter(key("claimed", "default", "*"))
            claimed.append(sum(system.redis.hlen(name) for name in names))
            return sum(number > 2 * SLOTS for number in claimed) > SAMPLES / 2

        wait_until(ahead, what=lambda: f"many tasks claimed ahead: {list(claimed)}")
        system.redis.delete(key("pending", "default"))
        assert worker.stop() == 0
