"""The main path on a Redis Cluster whose hash slots move. Each role has the rights that
docs/security.md gives it, with those that the page adds for a cluster."""

from __future__ import annotations

import random
import re
from pathlib import Path

from support import acl, apps
from support.feeder import Feeder
from support.redis_cluster import RedisCluster
from support.system import System

TASKS = range(450)
# The rights for all roles; for workers on Redis 7 and later; for workers before Redis 7.
ADDED = re.compile(
    r"in a Redis Cluster: `([^`]+)` for all roles, and `([^`]+)` for\s+workers \(`([^`]+)` before"
)


def test_hash_slots_move_with_the_rights_of_the_page(
    tmp_path: Path, redis_cluster: RedisCluster, chance: random.Random
) -> None:
    servers = redis_cluster
    ((for_all, new, old),) = ADDED.findall(" ".join(acl.PAGE.split()))
    for node in servers.nodes:
        version = acl.version_of(node.client)
        for role, rules in acl.lines(version).items():
            of_worker = [new if version == "7" else old] if role == "worker" else []
            acl.create(node.client, role, [*rules, *for_all.split(), *of_worker])
        node.client.acl_log_reset()
    queues = [servers.queue_on(node) for node in servers.masters()]
    with System(
        tmp_path,
        servers.url,
        apps.work_of_queues(*queues),
        lease=3.0,
        client_url=acl.url("client", servers.url),
        worker_url=acl.url("worker", servers.url),
        scheduler_url=acl.url("scheduler", servers.url),
        redis_client=servers.client,
    ) as system:
        system.start_scheduler()
        system.start_worker(queue=",".join(queues), concurrency=10, log_level="warning")

        def enqueue(number: int) -> None:
            system.task("work", queues[number % len(queues)])(number)

        with Feeder(enqueue, TASKS) as feeder:
            for ended in (50, 150, 250):
                system.wait_for_ends(ended)
                hash_slot = servers.hash_slot(f"{{{chance.choice(queues)}}}")
                owner = servers.owner(hash_slot)
                servers.move_hash_slot(
                    hash_slot, chance.choice([n for n in servers.masters() if n is not owner])
                )
        system.wait_until_ended(feeder.acknowledged, timeout=60)
        assert feeder.acknowledged == set(TASKS)
        assert system.ledger.run_twice() == set()
    assert [entry for node in servers.nodes for entry in acl.refused(node.client)] == []
