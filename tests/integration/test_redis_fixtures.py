"""The servers behave as the tests of Sentinel and Cluster expect."""

from __future__ import annotations

import pytest
import redis
from support.redis_cluster import RedisCluster
from support.redis_sentinel import RedisSentinel


def test_sentinels_make_a_replica_the_master(redis_sentinel: RedisSentinel) -> None:
    servers = redis_sentinel
    with servers.client() as client:
        client.set("kept", "1")
        assert client.wait(2, 5_000) == 2
    first = servers.kill_master()
    second = servers.wait_for_failover(first)
    assert second.client.get("kept") == "1"
    first.start()
    servers.wait_until_healthy()
    assert first in servers.replicas(), servers.report()
    with pytest.raises(redis.ReadOnlyError):
        first.client.set("kept", "2")
    third = servers.failover()
    assert third is not second
    assert third.client.get("kept") == "1"


def test_a_cluster_moves_hash_slots_and_replaces_masters(redis_cluster: RedisCluster) -> None:
    servers = redis_cluster
    source = servers.owner("{q}")
    target = next(node for node in servers.masters() if node is not source)
    source.client.mset({"{q}a": "1", "{q}b": "2"})
    hash_slot = servers.hash_slot("{q}")

    servers.begin_move(hash_slot, target)
    assert servers.move_keys(hash_slot, target, limit=1) == 1
    names = ["{q}a", "{q}b"]
    [here] = source.client.execute_command("CLUSTER GETKEYSINSLOT", hash_slot, 10)
    [there] = [name for name in names if name != here]
    with pytest.raises(redis.exceptions.AskError):
        source.client.get(there)
    # Redis 6.2 says ASK, and the other one then TRYAGAIN.
    with pytest.raises((redis.exceptions.TryAgainError, redis.exceptions.AskError)):
        source.client.mget(here, there)
    servers.move_keys(hash_slot, target)
    servers.end_move(hash_slot, target)
    servers.wait_until_healthy()
    assert servers.owner("{q}") is target
    with pytest.raises(redis.exceptions.MovedError):
        source.client.get("{q}a")

    assert target.client.wait(1, 5_000) == 1
    servers.kill(target)
    servers.wait_until_healthy()
    assert servers.owner("{q}").client.mget("{q}a", "{q}b") == ["1", "2"]
    target.start()
    servers.wait_until_healthy()
    assert servers.failover(servers.owner("{q}")) is target
