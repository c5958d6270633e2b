"""The workers of a queue, and whether their leases hold."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_control import workers
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import __version__, key
from fluxqueue_core.errors import ConfigurationError
from redis.exceptions import ResponseError
from support.scripts import LEASE, Scripts, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

# Redis 6.2 and Valkey answer these commands too.
pytestmark = pytest.mark.versions


def by_consumer(control: RedisClient, **options: bool) -> dict[str, workers.Worker]:
    return {worker.consumer: worker for worker in workers.scan(control, "q", **options)}


def test_a_worker_is_alive_then_late_then_a_tombstone(
    scripts: Scripts, control: RedisClient
) -> None:
    scripts.claim("c", message(1), message(2))
    alive = by_consumer(control)["c"]
    assert (alive.state, alive.claimed) == ("alive", 2)
    assert 0 < alive.lease_left <= LEASE / 1_000

    scripts.end_lease("c")
    late = by_consumer(control)["c"]
    assert (late.state, late.claimed) == ("late", 2)
    assert -60 < late.lease_left <= -1

    scripts.open("", ["c"])
    assert by_consumer(control) == {}
    tombstone = by_consumer(control, tombstones=True)["c"]
    assert (tombstone.state, tombstone.claimed) == ("tombstone", 0)
    assert -60 < tombstone.lease_left <= 0


def test_a_queue_without_workers_has_one_empty_page(control: RedisClient) -> None:
    assert workers.read_page(control, "q") == workers.WorkerPage([], None)


@pytest.mark.parametrize("tombstones", [False, True])
def test_many_workers_are_read_in_small_pages_and_each_once(
    redis: Any, scripts: Scripts, control: RedisClient, tombstones: bool
) -> None:
    ends = scripts.now() + LEASE
    redis.zadd(key("consumers", "q"), {f"alive{n}": ends for n in range(1_000)})
    redis.zadd(key("consumers", "q"), {f"ended{n}": -1 - n for n in range(1_000)})
    names = [f"alive{n}" for n in range(1_000)]
    if tombstones:
        names += [f"ended{n}" for n in range(1_000)]
    found = [worker.consumer for worker in workers.scan(control, "q", tombstones=tombstones)]
    assert sorted(found) == sorted(names)

    pages, cursor = 0, None
    while pages == 0 or cursor is not None:
        page = workers.read_page(control, "q", cursor, tombstones=tombstones)
        assert len(page.workers) < 300
        cursor = page.cursor
        pages += 1
    assert pages > 10


def test_workers_that_stay_are_read_although_others_come_and_go(
    redis: Any, scripts: Scripts, control: RedisClient
) -> None:
    ends = scripts.now() + LEASE
    redis.zadd(key("consumers", "q"), {f"stay{n}": ends for n in range(500)})
    redis.zadd(key("consumers", "q"), {f"go{n}": ends for n in range(500)})
    found = []
    for number, worker in enumerate(workers.scan(control, "q")):
        found.append(worker.consumer)
        redis.zrem(key("consumers", "q"), f"go{number}")
        redis.zadd(key("consumers", "q"), {f"new{number}": ends})
    assert len(found) == len(set(found))
    assert {f"stay{n}" for n in range(500)} <= set(found)


def test_a_worker_process_is_there_until_it_stops(
    redis_url: str, control: RedisClient, tmp_path: Path
) -> None:
    app = "@fluxqueue.task(queue='q')\ndef work(): ...\n"
    with WorkerProcess(tmp_path, redis_url, app, queue="q", concurrency=3) as worker:
        wait_until(lambda: len(by_consumer(control)) == 1, what=worker.output)
        [found] = by_consumer(control).values()
        assert found.state == "alive" and found.claimed == 0
        assert found.identity == {
            "host": socket.gethostname(),
            "pid": worker.pid,
            "version": __version__,
            "slots": 3,
            "queues": ["q"],
            "suspects": False,
        }
        assert worker.stop() == 0
    assert by_consumer(control) == {}
    ended = by_consumer(control, tombstones=True).values()
    assert ended and all(not each.identity for each in ended)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\xff", "[" * 100_000])
def test_an_identity_that_is_not_an_object_is_empty(
    redis: Any, scripts: Scripts, control: RedisClient, text: str
) -> None:
    scripts.open("c")
    redis.hset(key("workers", "q"), "c", text.encode("latin-1"))
    assert by_consumer(control)["c"].identity == {}


@pytest.mark.parametrize("kind", ["consumers", "claimed", "workers"])
def test_a_key_of_another_type_is_an_error(
    redis: Any, scripts: Scripts, control: RedisClient, kind: str
) -> None:
    scripts.open("c")
    name = key(kind, "q", "c" if kind == "claimed" else "")
    redis.delete(name)
    redis.set(name, "a string")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        workers.read_page(control, "q")
    with pytest.raises(ConfigurationError, match="queue name"):
        workers.read_page(control, "a}b")
