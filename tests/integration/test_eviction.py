"""Worker and scheduler say at their start that Redis may delete tasks, because it evicts keys."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import Settings, evictions, key
from redis import Redis
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def work(number):
    note(number)
"""


@pytest.mark.parametrize(
    ("policy", "maxmemory", "level"),
    [
        ("allkeys-lru", "64mb", "warning"),
        ("volatile-ttl", "64mb", "info"),
        ("noeviction", "64mb", None),
        ("allkeys-random", "0", None),
    ],
)
def test_an_evicting_redis_is_named_where_it_can_lose_tasks(
    tmp_path: Path, policy: str, maxmemory: str, level: str | None
) -> None:
    options = {"maxmemory": maxmemory, "maxmemory-policy": policy}
    with EmbeddedRedis(options=options) as server, Redis.from_url(server.url) as redis:
        redis.config_resetstat()
        with (
            WorkerProcess(tmp_path, server.url, APP) as worker,
            SchedulerProcess(tmp_path, server.url) as scheduler,
        ):
            for process in (worker, scheduler):
                if level is not None:
                    line = process.wait_for("redis.evicts")
                    assert (line["level"], line["maxmemory_policy"]) == (level, policy)
                    assert line["maxmemory"] == 64 << 20
                    assert "noeviction" in line["error"]
            worker.wait_for("worker.connected")
            scheduler.wait_for("scheduler.started")
            own = itertools.count(1)  # this test asks by INFO too
            wait_until(lambda: info_calls(redis) - next(own) >= 2, what=scheduler.output)
            assert worker.stop() == 0 == scheduler.stop()
            for process in (worker, scheduler):
                assert len(process.named("redis.evicts")) == (0 if level is None else 1)


def info_calls(redis: Any) -> int:
    """How many INFO the server has executed, without the call that asks for it."""
    return int(redis.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]) + 1


def test_without_the_right_to_info_nothing_is_said(tmp_path: Path) -> None:
    options = {"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}
    with EmbeddedRedis(options=options) as server, Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "u", "on", ">pw", "~*", "+@all", "-info")
        url = server.url.replace("redis://", "redis://u:pw@")
        with (
            WorkerProcess(tmp_path, url, APP) as worker,
            SchedulerProcess(tmp_path, url) as scheduler,
        ):
            worker.wait_for("worker.connected")
            wait_until(lambda: len(refusals(admin)) >= 2, what=scheduler.output)
            assert worker.stop() == 0 == scheduler.stop()
            for process in (worker, scheduler):
                levels = {line["level"] for line in process.lines}
                assert process.named("redis.evicts") == [] and "error" not in levels


def refusals(admin: Any) -> list[object]:
    entries = [entry for entry in admin.acl_log() if entry["object"] == "info"]
    return [number for entry in entries for number in range(int(entry["count"]))]


def test_each_server_of_a_cluster_is_asked_once(redis_cluster: RedisCluster) -> None:
    owner = redis_cluster.owner(key("pending", "a"))
    owner.client.config_set("maxmemory", 1 << 30)
    owner.client.config_set("maxmemory-policy", "allkeys-lfu")
    names = ["a", *(f"queue-{number}" for number in range(40))]
    owners = {redis_cluster.owner(key("pending", name)).address for name in names}
    found = evictions(Settings(redis_cluster.url), names)
    assert sorted(str(node) for node, _, _ in found) == sorted(owners)
    assert (owner.address, "allkeys-lfu", 1 << 30) in found
    owner.client.config_set("maxmemory", 0)
