"""The main path (client, worker, retry, scheduler, done) on a Redis Cluster whose hash slots
move and whose masters are replaced, under load."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path
from typing import Any

import pytest
from support import apps
from support.feeder import Feeder
from support.lateness import machine
from support.redis_cluster import RedisCluster
from support.system import System
from support.waiting import wait_until

LEASE = 3.0
TASKS = range(900)
LAG = 1.0


class Fleet:
    """Two workers and a scheduler on a cluster, with a queue on each master."""

    def __init__(self, folder: Path, servers: RedisCluster, query: str = "") -> None:
        self.queues = [servers.queue_on(node) for node in servers.masters()]
        self.system = System(
            folder,
            servers.url + query,
            apps.work_of_queues(*self.queues),
            lease=LEASE,
            redis_client=servers.client,
        )

    def start(self) -> None:
        self.system.start_scheduler()
        options: dict[str, Any] = {"concurrency": 10, "log_level": "warning"}
        for _ in range(2):
            self.system.start_worker(queue=",".join(self.queues), **options)

    def enqueue(self, number: int) -> None:
        queue = self.queues[number % len(self.queues)]
        self.system.task("work", queue)(number)

    def feed(self) -> Feeder:
        return Feeder(self.enqueue, TASKS)

    def wait_until_done(self, feeder: Feeder) -> None:
        self.system.wait_until_ended(feeder.acknowledged, timeout=60)
        for queue in self.queues:
            self.system.wait_until_settled(queue)
        for queue in self.queues:
            assert "dead" not in self.system.stats(queue)


@pytest.mark.versions
def test_hash_slots_that_move_under_load_lose_and_repeat_no_task(
    tmp_path: Path, redis_cluster: RedisCluster, chance: random.Random
) -> None:
    """No write is lost when a hash slot moves."""
    servers = redis_cluster
    fleet = Fleet(tmp_path, servers)
    with fleet.system as system:
        fleet.start()
        with fleet.feed() as feeder:
            for ended in range(50, 650, 100):
                system.wait_for_ends(ended)
                queue = chance.choice(fleet.queues)
                hash_slot = servers.hash_slot(f"{{{queue}}}")
                owner = servers.owner(hash_slot)
                target = chance.choice([n for n in servers.masters() if n is not owner])
                servers.move_hash_slot(hash_slot, target)
        fleet.wait_until_done(feeder)
        assert feeder.acknowledged == set(TASKS) and feeder.uncertain == set()
        assert system.ledger.run_twice() == set()


def test_requested_failovers_lose_and_repeat_no_task(
    tmp_path: Path, redis_cluster: RedisCluster, chance: random.Random
) -> None:
    """A master sends its replica everything before it steps down."""
    servers = redis_cluster
    fleet = Fleet(tmp_path, servers)
    with fleet.system as system:
        fleet.start()
        with fleet.feed() as feeder:
            for ended in (100, 300, 500):
                system.wait_for_ends(ended)
                servers.failover(chance.choice(servers.masters()))
        fleet.wait_until_done(feeder)
        assert feeder.acknowledged | feeder.uncertain == set(TASKS)
        assert system.ledger.run_twice() == set()


def test_a_killed_master_loses_no_acknowledged_task(
    tmp_path: Path, redis_cluster: RedisCluster, chance: random.Random
) -> None:
    """No acknowledged task is lost, because the client waits for the replica. The rest of
    what the replica had not received is undone: tasks of that master that were held or had
    just ended may run again, and no others."""
    servers = redis_cluster
    fleet = Fleet(tmp_path, servers, "?wait_replicas=1")
    with fleet.system as system:
        fleet.start()
        with fleet.feed() as feeder:
            system.wait_for_ends(chance.randrange(50, 500))
            queue = chance.choice(fleet.queues)
            victim = servers.owner(f"{{{queue}}}")
            began = time.monotonic()
            servers.kill(victim)
            servers.wait_until_healthy()
            # It becomes a replica of the new master; until then no call is acknowledged.
            victim.start()
            servers.wait_until_healthy()
            over = time.monotonic()
        fleet.wait_until_done(feeder)
        place = fleet.queues.index(queue)
        runs = [r for r in system.ledger.runs() if r.number % len(fleet.queues) == place]
        lag = LAG + machine().allowance(began - LAG, began)
        resumed = min((r.start for r in runs if r.start > over), default=over)
        held = {
            run.number
            for run in runs
            if run.start <= resumed + lag and (run.end is None or run.end >= began - lag)
        }
        assert system.ledger.run_twice() <= held
        assert len(feeder.uncertain) < len(TASKS) / 2
        assert system.ledger.started() <= feeder.acknowledged | feeder.uncertain


def test_a_dead_master_does_not_disturb_other_queues(
    tmp_path: Path, redis_cluster: RedisCluster
) -> None:
    """While a dead master has no replacement, tasks on the other masters are enqueued,
    run, retried and done."""
    servers = redis_cluster
    fleet = Fleet(tmp_path, servers)
    victim = servers.owner(f"{{{fleet.queues[0]}}}")
    [replica] = servers.replicas(victim)
    with fleet.system as system:
        fleet.start()
        first = range(30)
        for number in first:
            fleet.enqueue(number)
        system.wait_until_ended(first)
        # A task whose end the replica has not received would run again.
        system.wait_until_settled(fleet.queues[0])
        servers.wait_for_replicas(victim)
        replica.pause()
        victim.kill()
        others = [n for n in itertools.islice(itertools.count(30), 90) if n % 3]
        for number in others:
            fleet.enqueue(number)
        system.wait_until_ended(others)
        replica.go_on()
        servers.wait_until_healthy()
        for number in range(120, 150):
            fleet.enqueue(number)
        system.wait_until_ended(range(120, 150))
        assert system.ledger.run_twice() == set()


def test_a_rescue_follows_the_queue_to_another_master(
    tmp_path: Path, redis_cluster: RedisCluster
) -> None:
    """A worker that is killed while its queue is on one master is rescued on another."""
    servers = redis_cluster
    fleet = Fleet(tmp_path, servers)
    queue = fleet.queues[0]
    with fleet.system as system:
        system.start_scheduler()
        worker = system.start_worker(
            app=f"""
@fluxqueue.task(name="work", queue={queue!r})
def work(number):
    with ledger.run(number):
        time.sleep(3600)
""",
            queue=queue,
            concurrency=3,
        )
        task = system.task("work", queue)
        for number in range(3):
            task(number)
        wait_until(lambda: system.ledger.started() == {0, 1, 2}, what=worker.output)
        worker.kill()
        owner = servers.owner(f"{{{queue}}}")
        target = next(n for n in servers.masters() if n is not owner)
        servers.move_hash_slot(servers.hash_slot(f"{{{queue}}}"), target)
        system.start_worker(queue=queue, concurrency=3)
        system.wait_until_ended(range(3))
        assert system.ledger.times_run() == dict.fromkeys(range(3), 2)


@pytest.mark.parametrize("coverage", [True, False])
def test_a_worker_starts_while_a_master_is_down(tmp_path: Path, coverage: bool) -> None:
    with RedisCluster(tmp_path / "redis", full_coverage=coverage) as servers:
        fleet = Fleet(tmp_path, servers)
        with fleet.system as system:
            victim = servers.owner(f"{{{fleet.queues[0]}}}")
            servers.kill(victim)
            fleet.start()
            servers.wait_until_healthy()
            for number in range(30):
                fleet.enqueue(number)
            system.wait_until_ended(range(30))
