"""Each queue is read from the server that has it."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from fluxqueue_control import dead, queues, registry
from fluxqueue_control.errors import UNAVAILABLE
from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings, key
from fluxqueue_core.errors import ConfigurationError
from support.redis_cluster import RedisCluster
from support.redis_sentinel import RedisSentinel
from support.scripts import message
from support.waiting import wait_until


def depth(servers: Servers, queue: str) -> int | None:
    return queues.read_lengths(servers.of_queue(queue), [queue])[queue].pending


def test_one_server_has_all_queues(redis: Any, redis_url: str) -> None:
    servers = Servers(Settings(redis_url), client_name="a-tool")
    assert servers.of_queue("a") is servers.of_queue("b") is servers.of_registry()
    redis.rpush(key("pending", "a"), message(1))
    assert (depth(servers, "a"), depth(servers, "b")) == (1, 0)
    assert "a-tool" in {client["name"] for client in redis.client_list()}
    servers.close()
    assert "a-tool" not in {client["name"] for client in redis.client_list()}


def test_a_wrong_name_and_an_unreachable_server_are_errors(redis_url: str) -> None:
    servers = Servers(Settings("redis://127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match="queue name"):
        servers.of_queue("a}b")
    with pytest.raises(UNAVAILABLE):
        depth(servers, "a")
    cluster = Servers(Settings("redis+cluster://127.0.0.1:1"))
    with pytest.raises(redis.ConnectionError, match="no node of the cluster answers"):
        cluster.of_queue("a")
    cluster.close()


def test_each_queue_of_a_cluster_is_read_from_its_master(redis_cluster: RedisCluster) -> None:
    servers = Servers(Settings(redis_cluster.url))
    names = {node: redis_cluster.queue_on(node) for node in redis_cluster.masters()}
    with redis_cluster.client() as client:
        for number, name in enumerate(names.values(), 1):
            client.rpush(key("pending", name), *(message(n) for n in range(number)))
            client.zadd(key("dead", name), {name: 1})
            registry.register(servers.of_registry(), name)
        assert registry.read_names(servers.of_registry()).names == tuple(sorted(names.values()))
        assert [depth(servers, name) for name in names.values()] == [1, 2, 3]
        for name in names.values():
            [task] = dead.read_page(servers.of_queue(name), name).tasks
            assert task.entry == name.encode()

        # A hash slot moves: the old master says so, and the next call asks the new one.
        source, queue = next(iter(names.items()))
        target = next(node for node in names if node is not source)
        redis_cluster.move_hash_slot(redis_cluster.hash_slot(key("pending", queue)), target)
        stale = servers.of_queue(queue)
        assert queues.read_lengths(stale, [queue])[queue].pending is None
        assert servers.of_queue(queue) is not stale
        assert depth(servers, queue) == 1
    servers.close()


def test_a_failover_of_a_cluster_is_followed(redis_cluster: RedisCluster) -> None:
    servers = Servers(Settings(redis_cluster.url))
    victim = redis_cluster.masters()[0]
    queue = redis_cluster.queue_on(victim)
    with redis_cluster.client() as client:
        client.rpush(key("pending", queue), message(1))
    assert depth(servers, queue) == 1
    redis_cluster.wait_for_replicas(victim)
    redis_cluster.kill(victim)
    redis_cluster.wait_until_healthy()

    def is_read() -> bool:
        try:
            return depth(servers, queue) == 1
        except UNAVAILABLE:
            return False

    wait_until(is_read, what="the queue, from its new master")
    servers.close()


def test_the_master_that_sentinels_name_is_read(redis_sentinel: RedisSentinel) -> None:
    servers = Servers(Settings(redis_sentinel.url))
    registry.register(servers.of_registry(), "q")
    assert registry.read_names(servers.of_registry()).names == ("q",)
    assert depth(servers, "q") == 0
    servers.close()
