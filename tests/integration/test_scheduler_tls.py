"""A scheduler by TLS: to Sentinels and their master, and to the nodes of a cluster."""

from __future__ import annotations

from pathlib import Path

from fluxqueue_core import key
from support.redis_cluster import RedisCluster
from support.redis_sentinel import RedisSentinel
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message
from support.waiting import wait_until


def test_sentinels(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path / "redis", tls=True, password="pw1", sentinel_password="pw2") as s:
        with s.client() as client:
            client.sadd(key("queues"), "q")
            assert client.wait(2, 10_000) == 2
        with SchedulerProcess(tmp_path, s.url) as scheduler:
            for number in range(2):
                with s.client() as client:
                    scripts = Scripts(client)
                    client.zadd(scripts.key("delayed"), {message(number): 1})
                    wait_until(
                        lambda: message(number) in scripts.list("pending"),  # noqa: B023
                        what=scheduler.output,
                    )
                s.failover()
            assert scheduler.stop() == 0
            assert scheduler.named("scheduler.failed") == []


def test_a_cluster(tmp_path: Path) -> None:
    with (
        RedisCluster(tmp_path / "redis", tls=True, replicas=0, password="pw") as servers,
        servers.client() as client,
        SchedulerProcess(tmp_path, servers.url) as scheduler,
    ):
        for node in servers.masters():
            scripts = Scripts(client, servers.queue_on(node))
            client.sadd(key("queues"), scripts.queue)
            client.zadd(scripts.key("delayed"), {message(1): 1})
            wait_until(lambda: scripts.list("pending"), what=scheduler.output)  # noqa: B023
        assert scheduler.stop() == 0
        assert scheduler.named("scheduler.failed") == []
