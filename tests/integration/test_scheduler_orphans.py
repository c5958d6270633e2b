"""The orphan search finds the queues and consumers that no index mentions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_core import Settings, key
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.service import Scheduler
from support.scripts import Scripts, field, message
from support.waiting import wait_until


@pytest.fixture
def scheduler(redis_url: str) -> Iterator[Scheduler]:
    options = Options(lease=1, search_delay=0.05, search_interval=0.1, tombstone_age=86_400)
    scheduler = Scheduler(Settings(redis_url), options)
    yield scheduler
    scheduler.stop()


def test_orphans_of_unknown_consumers_are_rescued(scripts: Scripts, scheduler: Scheduler) -> None:
    # As if an operator had deleted the set of consumers.
    scripts.redis.sadd(key("queues"), scripts.queue)
    held, inboxed = message(1), message(2)
    scripts.redis.hset(scripts.key("claimed", "ghost"), field(held), held)
    scripts.redis.lpush(scripts.key("inbox", "shade"), inboxed)
    scripts.claim("alive", message(3))
    scheduler.start()
    wait_until(lambda: len(scripts.list("pending")) == 2)
    assert set(scripts.list("pending")) == {message(1, deliveries=1), inboxed}
    assert scripts.is_tombstone("ghost") and scripts.is_tombstone("shade")
    assert not scripts.is_tombstone("alive") and scripts.held("alive")


def test_the_search_finds_queues_that_are_not_registered(redis: Any, scheduler: Scheduler) -> None:
    queues = {name: Scripts(redis, name) for name in ("a:b", "ünï", "c*[x]")}
    for scripts in queues.values():
        redis.zadd(scripts.key("delayed"), {message(1): 1})
    scheduler.start()
    wait_until(lambda: all(scripts.list("pending") for scripts in queues.values()))
    assert {name.decode() for name in redis.smembers(key("queues"))} == set(queues)


def test_the_search_leaves_the_other_namespaces_alone(redis: Any, redis_url: str) -> None:
    options = Options(lease=1, search_delay=0.05, search_interval=0.1)
    names = ("", "shop", "shop.eu")
    for name in names:
        redis.zadd(key("delayed", f"of-{name}", namespace=name), {message(1): 1})
        redis.hset(key("claimed", "q", "ghost", name), field(message(2)), message(2))
    scheduler = Scheduler(Settings(redis_url, namespace="shop"), options)
    scheduler.start()
    try:
        pending = [key("pending", queue, namespace="shop") for queue in ("of-shop", "q")]
        wait_until(lambda: [redis.llen(name) for name in pending] == [1, 1])
    finally:
        scheduler.stop()
    assert redis.smembers(key("queues", namespace="shop")) == {b"of-shop", b"q"}
    for name in ("", "shop.eu"):
        assert not redis.exists(key("queues", namespace=name), key("sweep", "q", namespace=name))
        assert redis.zcard(key("delayed", f"of-{name}", namespace=name)) == 1
        assert redis.hlen(key("claimed", "q", "ghost", name)) == 1


def test_the_search_goes_on_past_the_first_page(redis: Any, scheduler: Scheduler) -> None:
    for n in range(50):
        redis.lpush(Scripts(redis, f"q{n}").key("pending"), message(n))
    filler = Scripts(redis, "filler")
    pipeline = redis.pipeline(transaction=False)
    for n in range(1_500):
        pipeline.lpush(filler.key("inbox", f"x{n}"), message(n))
    pipeline.execute()
    scheduler.start()
    wait_until(lambda: redis.scard(key("queues")) == 51)
    wait_until(lambda: redis.llen(filler.key("pending")) == 1_500)


def test_old_tombstones_are_removed(
    scripts: Scripts, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxqueue_scheduler.sweep.FORGET_INTERVAL", 0.05)
    scripts.redis.sadd(key("queues"), scripts.queue)
    scripts.open("", olds=["old1", "old2", "young"])
    day_ago = -(scripts.now() - 90_000_000)
    scripts.redis.zadd(scripts.key("consumers"), {"old1": day_ago, "old2": day_ago - 1})
    scheduler = Scheduler(Settings(redis_url), Options(lease=1))
    scheduler.start()
    try:
        wait_until(lambda: scripts.redis.zcard(scripts.key("consumers")) == 1)
        assert scripts.is_tombstone("young")
    finally:
        scheduler.stop()
