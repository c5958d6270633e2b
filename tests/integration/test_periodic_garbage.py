"""Parts of periodic tasks that are lost, or that another program has written: they stop neither the
scheduler nor other periodic tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import key
from fluxqueue_core.limits import key_digest
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until

QUEUE = "q"
MESSAGES, DUE = key("periodic:messages", QUEUE), key("periodic:due", QUEUE)
# Not one is a message that this release can fill in.
ODD = (b"", b"garbage", b'{"v":1,"id":"short"}', b'{"v":3,"id":"' + b"0" * 36 + b'","name":"n"}')


@pytest.fixture
def app(redis_url: str, redis: Any) -> Iterator[FluxQueue]:
    redis.sadd(key("queues"), QUEUE)
    app = FluxQueue(redis_url)
    yield app
    app.close()


@pytest.fixture
def work(app: FluxQueue) -> Any:
    @app.task(queue=QUEUE)
    def work(number: int = 0) -> None: ...

    return work


def runs(redis: Any) -> int:
    return int(redis.llen(key("pending", QUEUE)))


def calls(redis: Any) -> int:
    """How many scripts Redis has executed."""
    return int(redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_lost_message_stops_only_its_periodic_task_until_it_is_scheduled_again(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    names = ["lost", *(f"odd {n}" for n in range(len(ODD)))]
    for name in names:
        app.schedule(name, work.call(1), every=1)
    app.schedule("good", work.call(2), every=1)
    redis.hdel(MESSAGES, "lost")
    for n, odd in enumerate(ODD):
        redis.hset(MESSAGES, f"odd {n}", redis.hget(MESSAGES, f"odd {n}")[:26] + odd)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        for name in names:
            scheduler.wait_for("periodic.failed", queue=QUEUE, periodic=name)
        before, first = calls(redis), runs(redis)
        wait_until(lambda: runs(redis) >= first + 2, what=scheduler.output)
        # Some thirty a second. A scheduler that spins sends a few thousand.
        assert calls(redis) - before < 300
        assert all(b'"args":[2]' in raw for raw in redis.lrange(key("pending", QUEUE), 0, -1))
        assert app.schedule("lost", work.call(1), every=1) == "changed"
        wait_until(
            lambda: any(b'"args":[1]' in r for r in redis.lrange(key("pending", QUEUE), 0, -1)),
            what=scheduler.output,
        )


def test_a_declaration_writes_a_lost_message_again(app: FluxQueue, work: Any, redis: Any) -> None:
    app.periodic(every=5, id="a")(work)
    [made] = work.periodic
    declaration = [b"declare", b"60000", *made.scheduled(declared=True)]
    schedule = app.broker.producer.schedule
    assert schedule(QUEUE, declaration) == ["added"]
    assert schedule(QUEUE, declaration) == ["unchanged"]
    redis.delete(MESSAGES)
    assert schedule(QUEUE, declaration) == ["changed"]
    assert redis.hexists(MESSAGES, "a")


def test_lost_moments_are_planned_again(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    app.schedule("a", work.call(1), every=1)
    app.schedule("paused", work.call(1), every=1)
    app.broker.producer.schedule(QUEUE, [b"pause", b"paused"])
    redis.delete(DUE)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        scheduler.wait_for("periodic.mended", queue=QUEUE, periodic="a")
        wait_until(lambda: runs(redis) >= 2, what=scheduler.output)
    assert redis.zrange(DUE, 0, -1) == [b"a"]


def test_an_error_at_one_periodic_task_stops_only_that(
    app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    @app.task(queue=QUEUE, concurrency=1, limit_key="number")
    def limited(number: int) -> None: ...

    for number in range(5):
        app.schedule(f"entry {number}", limited.call(number), every=1)
    # The key of one limit has another type.
    for number in (1, 3):
        digest = key_digest("limited", str(number).encode())
        redis.set(key("limit:places", QUEUE, digest), "text")
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        for number in (1, 3):
            scheduler.wait_for("periodic.failed", queue=QUEUE, periodic=f"entry {number}")
        first = redis.hgetall(key("periodic:runs", QUEUE))
        wait_until(
            lambda: all(
                redis.hget(key("periodic:runs", QUEUE), f"entry {n}") != first.get(b"entry %d" % n)
                for n in (0, 2, 4)
            ),
            what=scheduler.output,
        )
        assert not redis.hexists(key("periodic:runs", QUEUE), "entry 1")
