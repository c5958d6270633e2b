"""The worker's connections are cut repeatedly: no task is lost, stuck or run twice."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from fluxqueue_core import key
from support import apps
from support.proxy import RESET, Proxy, port_of
from support.system import System
from support.waiting import wait_until, wait_until_past

APP = apps.work(0.03) + apps.HOLD
LEASE = 3.0
CUTS = 100
# The cuts are spread over this time, which is enough to reconnect after each.
SECONDS = float(os.environ.get("FLUXQUEUE_TEST_CUT_SECONDS") or 10)


def lease_left(system: System) -> float:
    """Seconds until the worker's lease ends, by the clock of Redis; 0 if it has none yet."""
    newest = system.redis.zrange(key("consumers", "default"), -1, -1, withscores=True)
    if not newest:
        return 0.0
    seconds, micros = system.redis.time()
    return float(newest[0][1] / 1_000 - seconds - micros / 1e6)


@pytest.mark.parametrize("name", ["work", "work_async"])
def test_a_hundred_cuts_lose_and_repeat_no_task(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str
) -> None:
    port, database = port_of(redis_url)
    # The delay makes it likely that a cut hits a request whose reply is on its way.
    with (
        Proxy(port, delay=0.003) as proxy,
        System(
            tmp_path, redis_url, APP, lease=LEASE, worker_url=f"{proxy.url}/{database}"
        ) as system,
    ):
        system.start_scheduler()
        worker = system.start_worker(concurrency=10, log_level="warning")
        wait_until(lambda: proxy.connections == 2)
        enqueued = 0
        while proxy.cuts < CUTS:
            # More than the slots hold or nothing: cuts hit a busy and an idle worker.
            more = chance.choice([0, 1, 10, 100])
            system.enqueue(name, range(enqueued, enqueued + more))
            enqueued += more
            wait_until_past(time.monotonic() + chance.random() * 2 * SECONDS / CUTS)
            # A busy machine may need longer than that to reconnect. Cuts in a row must not
            # keep the worker from Redis until its lease ends: then its tasks may run twice.
            wait_until(lambda: lease_left(system) > LEASE / 2)
            if chance.random() < 0.2:
                proxy.cut_all(RESET)
            else:
                proxy.cut_one(chance)
        tasks = range(enqueued)
        system.wait_until_ended(tasks, timeout=60)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set(), worker.output()
        assert system.stats() == {"succeeded": enqueued}
        assert worker.stop() == 0


@pytest.mark.parametrize("how", ["cut", "black hole"])
def test_running_tasks_go_on_and_settle_under_the_new_id(
    tmp_path: Path, redis_url: str, how: str
) -> None:
    # Rule 2.
    port, database = port_of(redis_url)
    with (
        Proxy(port) as proxy,
        System(
            tmp_path, redis_url, APP, lease=LEASE, worker_url=f"{proxy.url}/{database}"
        ) as system,
    ):
        system.start_scheduler()
        worker = system.start_worker(concurrency=4)
        first = worker.wait_for("worker.connected")["consumer"]
        system.enqueue("hold", range(4))
        wait_until(lambda: len(system.ledger.started()) == 4)
        if how == "cut":
            proxy.cut_all()
        else:
            proxy.black_hole = True
            worker.wait_for("worker.disconnected")
            proxy.end_black_hole()
        second = worker.wait_for("worker.connected", count=2)["consumer"]
        assert second != first
        # More than two leases pass in the new conversation.
        wait_until_past(time.monotonic() + 2 * LEASE)
        (tmp_path / "open").touch()
        worker.wait_for("task.done", count=4)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert system.stats() == {"succeeded": 4}
        assert worker.stop() == 0
