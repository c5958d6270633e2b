"""The main path (client, worker, retry, scheduler, done) while Sentinels replace the
master. Replication is asynchronous, so a failover undoes what the new master has not
received: a task that was held or had just ended may run again. No acknowledged task is
lost, because the client waits for the replicas."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from support import apps
from support.feeder import Feeder
from support.lateness import machine
from support.redis_sentinel import SERVICE, RedisSentinel
from support.system import System
from support.waiting import wait_until

APP = apps.work_of_queues("default")
LEASE = 3.0
TASKS = range(1_000)
# Seconds by which replication may lag here.
LAG = 1.0


def master_client(servers: RedisSentinel) -> Any:
    """A redis-py client that follows the master."""
    addresses = [("127.0.0.1", sentinel.port) for sentinel in servers.sentinels]
    make: Any = redis.sentinel.Sentinel  # has no types
    sentinels = make(addresses)
    return sentinels.master_for(SERVICE)


@pytest.mark.parametrize("how", [pytest.param("killed", marks=pytest.mark.versions), "asked for"])
def test_no_acknowledged_task_is_lost(
    tmp_path: Path, redis_sentinel: RedisSentinel, chance: random.Random, how: str
) -> None:
    servers = redis_sentinel
    url = servers.url + "?wait_replicas=2"
    options: dict[str, Any] = {"concurrency": 10, "log_level": "warning"}
    with System(
        tmp_path, url, APP, lease=LEASE, redis_client=lambda: master_client(servers)
    ) as system:
        system.start_scheduler()
        for _ in range(2):
            system.start_worker(**options)
        with Feeder(system.task("work"), TASKS) as feeder:
            system.wait_for_ends(chance.randrange(50, 500))
            began = time.monotonic()
            if how == "killed":
                old = servers.kill_master()
                servers.wait_for_failover(old)
                # It becomes a replica of the new master; until then no call is acknowledged.
                old.start()
                servers.wait_until_healthy()
            else:
                servers.failover()
            over = time.monotonic()
        system.wait_until_ended(feeder.acknowledged, timeout=60)
        system.wait_until_settled()
        lag = LAG + machine().allowance(began - LAG, began)
        resumed = min((r.start for r in system.ledger.runs() if r.start > over), default=over)
        held = {
            run.number
            for run in system.ledger.runs()
            if run.start <= resumed + lag and (run.end is None or run.end >= began - lag)
        }
        assert system.ledger.run_twice() <= held
        assert "dead" not in system.stats()
        # Few calls were under way.
        assert len(feeder.uncertain) < len(TASKS) / 2
        # An uncertain task ran or did not; no other task ran.
        assert system.ledger.started() <= feeder.acknowledged | feeder.uncertain


def test_workers_and_scheduler_go_on_after_every_failover(
    tmp_path: Path, redis_sentinel: RedisSentinel
) -> None:
    """With no task under way, no task runs twice."""
    servers = redis_sentinel
    with System(
        tmp_path, servers.url, APP, lease=LEASE, redis_client=lambda: master_client(servers)
    ) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=4)
        for number in range(3):
            some = range(100 * number, 100 * number + 20)
            system.enqueue("work", some)
            system.wait_until_ended(some)
            system.wait_until_settled()
            with servers.client() as client:
                client.ping()  # WAIT is for what was there at the client's last command
                wait_until(lambda: client.wait(2, 1_000) == 2)
            servers.failover()
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0
