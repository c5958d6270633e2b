"""Limited tasks in a cluster, and while a hash slot moves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import Producer, Route, Settings, key, script_keys
from redis import Redis, ResponseError
from support.limited import KEY, end, enqueue, limited, line, places
from support.ports import HOST
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.scripts import Outcome, Scripts, field, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task(queue="slow", name="work")
def work(number):
    note(number)
    time.sleep(0.01)
"""
DIGEST = "c" * 32


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    folder = tmp_path_factory.mktemp("limits") / "nodes"
    with RedisCluster(folder, replicas=0) as servers:
        yield servers


def test_limited_tasks_run_while_the_hash_slot_moves(servers: RedisCluster, tmp_path: Path) -> None:
    hash_slot = servers.hash_slot("{slow}")
    source = servers.owner(hash_slot)
    target = next(node for node in servers.masters() if node is not source)
    producer = Producer(Settings(servers.url, timeout=60.0))
    route = Route("slow", "work", limit=(1, 1_000, 1))

    def enqueue(numbers: range) -> None:
        for number in numbers:
            producer.enqueue(route, (number,), {}, limit=(DIGEST, "work"))

    enqueue(range(40))
    with (
        WorkerProcess(tmp_path, servers.url, APP, queue="slow") as worker,
        SchedulerProcess(tmp_path, servers.url, lease=5) as scheduler,
        ThreadPoolExecutor(1) as thread,
    ):
        wait_until(lambda: len(worker.notes()) > 3, what=worker.output)
        servers.begin_move(hash_slot, target)
        servers.move_keys(hash_slot, target)
        calls = thread.submit(enqueue, range(40, 60))
        try:
            wait_until(lambda: target.client.info("errorstats").get("errorstat_TRYAGAIN"))
        finally:
            servers.end_move(hash_slot, target)
        calls.result(timeout=60)
        wait_until(lambda: len(worker.notes()) == 60, what=worker.output)
        assert [int(note) for note in worker.notes()] == list(range(60))
        wait_until(lambda: not target.client.keys("fluxqueue:{slow}:limit*"), what=scheduler.output)
        assert worker.stop() == 0
    assert not target.client.exists(key("pending", "slow"), key("delayed", "slow"))
    producer.close()


def create_all(scripts: Scripts, names: list[str]) -> None:
    """Creates those of the keys that do not exist, as an operator and other tasks may."""
    redis = scripts.redis
    made: dict[str, Any] = {
        "sweep": lambda name: redis.hset(name, "last", scripts.now()),
        "suspects": lambda name: redis.lpush(name, message(90, deliveries=2)),
        "delayed": lambda name: redis.zadd(name, {message(91): scripts.now() + 60_000}),
        "dead": lambda name: redis.zadd(name, {"x": scripts.now()}),
        "dead:messages": lambda name: redis.hset(name, "x", message(92)),
        "dead:reasons": lambda name: redis.hset(name, "x", "{}"),
        "paused": lambda name: redis.set(name, "1"),
        "newer": lambda name: redis.zadd(name, {"x": scripts.now()}),
        "prioritized": lambda name: redis.zadd(name, {message(93, opts='{"p":1}'): 1}),
        "cancelled": lambda name: redis.zadd(name, {message(94)[13:49]: scripts.now()}),
        "inbox:c": lambda name: redis.lpush(name, message(95)),
    }
    for name in names:
        if not redis.exists(name):
            made[name.partition("}:")[2]](name)
        assert redis.exists(name)


def test_a_script_that_finds_a_limit_missing_loses_no_task(servers: RedisCluster) -> None:
    # All keys that an exchange names are there while the hash slot moves, and those of the limit
    # have left. The operator who pauses the queue, and the rest, make one such moment.
    hash_slot = servers.hash_slot("{worst}")
    source = servers.owner(hash_slot)
    target = next(node for node in servers.masters() if node is not source)
    scripts = Scripts(Redis(**source.how), "worst")
    one, two, three = (limited(number) for number in (1, 2, 3))
    enqueue(scripts, one, two, three)
    scripts.open("c")
    assert scripts.exchange("c", 1).claimed == [one]
    scripts.enqueue(message(96))
    names = script_keys("exchange", "worst", "c")
    create_all(scripts, names)
    servers.begin_move(hash_slot, target)
    for kind in ("limit:places", "limit:line"):
        moved = scripts.key(kind, KEY)
        source.client.execute_command("MIGRATE", HOST, target.port, moved, 0, 5_000)
    with pytest.raises(ResponseError, match="non local key"):
        end(scripts, one)
    assert scripts.held("c") == {field(one): one, field(message(95)): message(95)}
    # One missing key, and Redis refuses the script before it begins.
    source.client.delete(scripts.key("paused"))
    with pytest.raises(ResponseError, match="rehashing of slot"):
        end(scripts, one)
    servers.move_keys(hash_slot, target)
    servers.end_move(hash_slot, target)
    scripts = Scripts(Redis(**target.how), "worst")
    assert list(places(scripts)) == [field(one)] and line(scripts) == [two, three]
    assert two in end(scripts, one, 9)
    scripts.exchange("c", outcomes=[Outcome(field(two), "done")])
    assert list(places(scripts)) == [field(three)]
