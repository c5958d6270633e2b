"""A scheduler on a real cluster: each master has its own queues."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control.topology import NoCluster, Topology
from fluxqueue_core import Settings, key
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.service import Scheduler
from support.redis_cluster import RedisCluster
from support.redis_process import RedisProcess
from support.scheduler_process import SchedulerProcess
from support.scripts import DAY, Scripts, message
from support.telemetry import Recorded
from support.waiting import wait_until
from support.worker_process import WorkerProcess

LEASE = 2
# A scheduler waits a quarter of the lease for a reply of Redis. With this lease, a machine
# that pauses for a second causes no outage.
LONG_LEASE = 6
_numbers = itertools.count(1)


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Iterator[Any]:
    with redis_cluster.client() as client:
        yield client


@pytest.fixture
def queues(redis_cluster: RedisCluster, client: Any) -> dict[RedisProcess, Scripts]:
    """A queue on each master, registered."""
    names = {node: redis_cluster.queue_on(node) for node in redis_cluster.masters()}
    client.sadd(key("queues"), *names.values())
    return {node: Scripts(client, name) for node, name in names.items()}


def other_than(servers: RedisCluster, *nodes: RedisProcess) -> RedisProcess:
    return next(node for node in servers.masters() if node not in nodes)


def check_promotion(scripts: Scripts, scheduler: SchedulerProcess) -> None:
    """A due message is moved."""
    due = message(next(_numbers))
    scripts.redis.zadd(scripts.key("delayed"), {due: 1})
    wait_until(lambda: due in scripts.list("pending"), what=scheduler.output)
    scripts.redis.delete(scripts.key("pending"))


def check_rescue(scripts: Scripts, scheduler: SchedulerProcess) -> None:
    """A lost consumer's message is moved."""
    number = next(_numbers)
    wait_until(scripts.is_calm, what=scheduler.output)
    scripts.claim(f"lost{number}", message(number))
    scripts.end_lease(f"lost{number}")
    wanted = message(number, deliveries=1)
    wait_until(lambda: wanted in scripts.list("pending"), what=scheduler.output)
    scripts.redis.delete(scripts.key("pending"))


def test_every_master_and_a_hash_slot_that_moves(
    redis_cluster: RedisCluster, queues: dict[RedisProcess, Scripts], tmp_path: Path
) -> None:
    servers = redis_cluster
    with SchedulerProcess(tmp_path, servers.url, lease=LONG_LEASE) as scheduler:
        for scripts in queues.values():
            check_promotion(scripts, scheduler)
            check_rescue(scripts, scheduler)
        source, scripts = next(iter(queues.items()))
        target = other_than(servers, source)
        hash_slot = servers.hash_slot(scripts.key("pending"))

        # Half of the keys are here and half are there: no script can run.
        held, due = message(next(_numbers)), message(next(_numbers))
        scripts.claim("lost", held)
        scripts.redis.zadd(scripts.key("delayed"), {due: scripts.now() + 500})
        servers.begin_move(hash_slot, target)
        assert servers.move_keys(hash_slot, target, limit=2) == 2
        scheduler.wait_for("queue.moving", queue=scripts.queue)
        others = [other for other in queues.values() if other is not scripts]
        for other in others:
            check_promotion(other, scheduler)
        servers.move_keys(hash_slot, target)
        servers.end_move(hash_slot, target)

        wait_until(lambda: due in scripts.list("pending"), what=scheduler.output)
        scripts.end_lease("lost")
        rescued = held.replace(b',"name"', b',"deliveries":1,"name"')
        wait_until(lambda: rescued in scripts.list("pending"), what=scheduler.output)

        # The registry moves as well.
        registry = servers.hash_slot(key("queues"))
        servers.move_hash_slot(registry, other_than(servers, servers.owner(registry)))
        new = Scripts(scripts.redis, "another")
        new.redis.sadd(key("queues"), new.queue)
        check_promotion(new, scheduler)

        assert scheduler.stop() == 0
        for event in ("redis.unavailable", "queue.failed", "scheduler.failed"):
            assert scheduler.named(event) == []


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_an_unreachable_master_delays_only_its_own_queues(
    redis_cluster: RedisCluster,
    queues: dict[RedisProcess, Scripts],
    tmp_path: Path,
    how: str,
) -> None:
    servers = redis_cluster
    registry = servers.owner(key("queues"))
    # The one that has the registry.
    victim, scripts = registry, queues[registry]
    [replica] = servers.replicas(victim)
    others = [other for node, other in queues.items() if node is not victim]
    held = message(next(_numbers))
    # Held until the test says otherwise, however long the rest takes.
    scripts.claim("lost", held, lease=DAY)
    servers.wait_for_replicas(victim)
    with SchedulerProcess(tmp_path, servers.url, lease=LEASE) as scheduler:
        for other in [*others, scripts]:
            check_promotion(other, scheduler)
        replica.pause()  # no replica takes over
        if how == "killed":
            victim.kill()
        else:
            victim.pause()
        scheduler.wait_for("redis.unavailable", node=victim.address)
        for _ in range(20):
            for other in others:
                check_promotion(other, scheduler)
        for other in others:
            check_rescue(other, scheduler)
        replica.go_on()
        servers.wait_until_healthy()
        assert servers.role(replica) == "master"
        scripts.redis.nodes_manager.initialize()
        check_promotion(scripts, scheduler)
        scripts.end_lease("lost")
        rescued = held.replace(b',"name"', b',"deliveries":1,"name"')
        wait_until(lambda: rescued in scripts.list("pending"), what=scheduler.output)
        scheduler.wait_for("redis.replaced", node=victim.address)
        if how == "hung":
            victim.go_on()
        assert scheduler.stop() == 0
        # Once for an outage, not for each of dozens of attempts. (A machine under load
        # may be a second one.)
        own = scheduler.named("redis.unavailable", node=victim.address)
        assert len(own) <= 2
        assert scheduler.named("scheduler.failed") == []


def test_a_failover_that_is_asked_for(
    redis_cluster: RedisCluster, queues: dict[RedisProcess, Scripts], tmp_path: Path
) -> None:
    servers = redis_cluster
    with SchedulerProcess(tmp_path, servers.url, lease=LONG_LEASE) as scheduler:
        for node, scripts in queues.items():
            check_promotion(scripts, scheduler)
            servers.failover(node)
            check_promotion(scripts, scheduler)
            check_rescue(scripts, scheduler)
        assert scheduler.stop() == 0
        assert scheduler.named("redis.unavailable") == scheduler.named("scheduler.failed") == []


def test_the_orphan_search_covers_every_master(
    redis_cluster: RedisCluster, queues: dict[RedisProcess, Scripts], client: Any
) -> None:
    client.delete(key("queues"))
    for scripts in queues.values():
        client.hset(scripts.key("claimed", "ghost"), mapping={"f": message(1)})
        client.zadd(scripts.key("delayed"), {message(2): 1})
    options = Options(lease=1, search_delay=0.05, search_interval=0.1)
    scheduler = Scheduler(Settings(redis_cluster.url), options)
    scheduler.start()
    try:
        for scripts in queues.values():
            wait_until(lambda: len(scripts.list("pending")) == 2)  # noqa: B023
        names = {name.decode() for name in client.smembers(key("queues"))}
        assert names == {scripts.queue for scripts in queues.values()}
    finally:
        scheduler.stop()


FAILS_ONCE = """
def work(ctx: Context, queue):
    assert ctx.metadata.retries
    note(queue)

for queue in os.environ["QUEUES"].split(","):
    fluxqueue.task_with_context(queue=queue, retry_delay=0.05)(work)
"""


def test_a_namespace_has_its_own_registry(
    redis_cluster: RedisCluster, client: Any, tmp_path: Path
) -> None:
    """It is in another hash slot than the one of the default namespace."""
    url = redis_cluster.url
    names = sorted(redis_cluster.queue_on(node) for node in redis_cluster.masters())
    variables = {"FLUXQUEUE_NAMESPACE": "shop", "QUEUES": ",".join(names)}
    with (
        SchedulerProcess(tmp_path, url, lease=LONG_LEASE, namespace="shop") as scheduler,
        WorkerProcess(
            tmp_path, url, FAILS_ONCE, variables=variables, queue=",".join(names)
        ) as worker,
    ):
        app = FluxQueue(url, namespace="shop")
        for name in names:
            app.task(name="work", queue=name)(lambda queue: None)(name)
        wait_until(lambda: sorted(worker.notes()) == names, what=worker.output)
        registered = client.smembers(key("queues", namespace="shop"))
        assert sorted(name.decode() for name in registered) == names
        assert not client.exists(key("queues"))
        assert worker.stop() == 0 and scheduler.stop() == 0


def test_the_metrics_of_all_masters(
    redis_cluster: RedisCluster,
    queues: dict[RedisProcess, Scripts],
    recorded: Recorded,
) -> None:
    from fluxqueue_scheduler import telemetry

    for number, scripts in enumerate(queues.values(), 1):
        scripts.enqueue(*(message(n) for n in range(number)))
    settings = Settings(redis_cluster.url)
    scheduler = Scheduler(settings, telemetry=telemetry.set_up(settings, serves_metrics=False))
    scheduler.start()
    wanted = {scripts.queue: number for number, scripts in enumerate(queues.values(), 1)}

    def depths() -> dict[str, float]:
        points = recorded.points("fluxqueue.queue.depth")
        return {p.attributes["messaging.destination.name"]: p.value for p in points}

    try:
        wait_until(lambda: depths() == wanted, what=lambda: str(depths()))
        victim, scripts = next(iter(queues.items()))
        [replica] = redis_cluster.replicas(victim)
        replica.pause()  # no replica takes over
        victim.kill()
        wait_until(lambda: depths() == {k: v for k, v in wanted.items() if k != scripts.queue})
        assert any(victim.address in reason for reason in scheduler.health.ready())
    finally:
        scheduler.stop()


def test_a_scheduler_waits_for_a_cluster(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "redis", replicas=0) as servers:
        for node in servers.nodes:
            node.kill()
        with SchedulerProcess(tmp_path, servers.url, lease=LEASE) as scheduler:
            line = scheduler.wait_for("redis.unavailable")
            assert all(node.address in line["error"] for node in servers.nodes)
            for node in servers.nodes:
                node.start()
            servers.wait_until_healthy()
            scheduler.wait_for("redis.available")
            with servers.client() as client:
                client.sadd(key("queues"), "q")
                check_promotion(Scripts(client), scheduler)
            assert scheduler.stop() == 0


def test_the_topology(redis_cluster: RedisCluster, redis_url: str) -> None:
    servers = redis_cluster
    topology = Topology(Settings(servers.url))
    topology.refresh()
    assert {f"{h}:{p}" for h, p in topology.masters} == {n.address for n in servers.masters()}
    for name in ("a", "b", "c"):
        owner = topology.owner(key("pending", name))
        assert owner is not None
        assert f"{owner[0]}:{owner[1]}" == servers.owner(f"{{{name}}}").address
    topology.close()
    single = Topology(
        Settings(redis_url.replace("redis://", "redis+cluster://").rpartition("/")[0])
    )
    with pytest.raises(NoCluster, match="redis://"):
        single.refresh()
    single.close()
