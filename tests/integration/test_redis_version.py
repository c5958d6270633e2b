"""The tests run on the server that they are said to run on."""

from __future__ import annotations

import os
from typing import Any

import pytest
from support.redis_cluster import RedisCluster


def name_and_version(info: dict[str, Any]) -> str:
    """Such as `redis-7.0` or `valkey-8.1`."""
    forks = [name for name in ("valkey", "redict") if f"{name}_version" in info]
    name = forks[0] if forks else "redis"
    version = str(info.get(f"{name}_version", info["redis_version"]))
    return f"{name}-{version.rpartition('.')[0]}"


@pytest.mark.versions
def test_the_tests_run_on_the_requested_server(redis: Any, redis_cluster: RedisCluster) -> None:
    """FLUXQUEUE_TEST_SERVER names the server that scripts/redis-versions has put on PATH."""
    found = name_and_version(redis.info("server"))
    assert found == os.environ.get("FLUXQUEUE_TEST_SERVER", found)
    for node in redis_cluster.nodes:
        assert name_and_version(node.client.info("server")) == found
