"""A real scheduler process rescues the tasks of lost consumers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fluxqueue_core import key
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, field, message, messages
from support.waiting import wait_until

# Short, so that the first sweep's grace is short as well.
LEASE = 1


@pytest.fixture(autouse=True)
def _registered(scripts: Scripts) -> None:
    scripts.redis.sadd(key("queues"), scripts.queue)


def test_a_lost_consumer_is_rescued_and_a_living_one_is_not(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    held = messages(range(3))
    scripts.claim("lost", *held)
    scripts.enqueue(message(4))
    scripts.block("lost")
    scripts.end_lease("lost")
    scripts.claim("alive", message(5))
    with SchedulerProcess(tmp_path, redis_url, lease=LEASE) as scheduler:
        line = scheduler.wait_for("consumer.rescued")
        assert (line["queue"], line["consumer"]) == ("q", "lost")
        assert (line["count"], line["dead"], line["not_begun"]) == (4, 0, 0)
        assert scripts.list("pending") == messages([0, 1, 2, 4], deliveries=1)
        assert scripts.is_tombstone("lost") and not scripts.is_tombstone("alive")
        assert scripts.held("alive") and not scripts.held("lost")
        assert scheduler.stop() == 0
        assert len(scheduler.named("consumer.rescued")) == 1


def test_a_great_many_are_rescued_each_once_by_two_schedulers(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    consumers = {f"c{n}": messages(range(1000 * n, 1000 * n + 700)) for n in range(5)}
    for consumer, held in consumers.items():
        scripts.claim(consumer, *held)
        scripts.end_lease(consumer)
    every = {m for held in consumers.values() for m in held}
    with (
        SchedulerProcess(tmp_path, redis_url, lease=LEASE) as first,
        SchedulerProcess(tmp_path, redis_url, lease=LEASE) as second,
    ):
        wait_until(lambda: len(scripts.list("pending")) >= len(every), what=first.output)
        assert first.stop() == second.stop() == 0
    raised = scripts.list("pending")
    assert len(raised) == len(every)
    assert {m.replace(b',"deliveries":1', b"") for m in raised} == every
    assert all(b'"deliveries":1,' in m for m in raised)
    assert scripts.stats() == {"rescued": len(every)}
    assert not any(scripts.held(consumer) for consumer in consumers)


@pytest.mark.parametrize("limit", [3, 5])
def test_after_too_many_losses_a_task_is_dead(
    scripts: Scripts, redis_url: str, tmp_path: Path, limit: int
) -> None:
    held = {n: message(n, deliveries=n, retries=1) for n in range(limit)}
    scripts.claim("lost", *held.values())
    scripts.end_lease("lost")
    with SchedulerProcess(tmp_path, redis_url, lease=LEASE, max_deliveries=limit) as scheduler:
        line = scheduler.wait_for("consumer.rescued")
        assert (line["count"], line["dead"]) == (limit, 1)
        assert scheduler.stop() == 0
    raised = {n: message(n, deliveries=n + 1, retries=1) for n in range(limit)}
    assert scripts.list("pending") == [raised[0]]
    assert scripts.list("suspects") == [raised[n] for n in range(1, limit - 1)]
    [(entry, (kept, reason))] = scripts.dead().items()
    assert (entry, kept) == (field(held[limit - 1]), raised[limit - 1])
    assert json.loads(reason)["reason"] == "worker_lost"
    assert str(limit) in json.loads(reason)["error"]


def test_a_message_that_can_not_be_raised_is_parked(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    # They begin like messages, so a worker could claim them; each died with it.
    broken = message(1)[:-1]
    lying = message(2).replace(b',"name"', b',"deliveries":"many","name"')
    good = message(3)
    scripts.claim("lost", broken, lying, good)
    scripts.end_lease("lost")
    with SchedulerProcess(tmp_path, redis_url, lease=LEASE) as scheduler:
        scheduler.wait_for("consumer.rescued", count=1)
        assert scheduler.stop() == 0
    assert scripts.list("pending") == [message(3, deliveries=1)]
    dead = scripts.dead()
    assert {kept for kept, _ in dead.values()} == {broken, lying}
    assert {json.loads(reason)["reason"] for _, reason in dead.values()} == {"malformed"}


def test_a_rescue_that_another_scheduler_left_half_done_is_finished(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    held = messages(range(3))
    scripts.claim("lost", *held)
    scripts.end_lease("lost")
    scripts.be_swept()
    assert len(scripts.bury("lost")) == 3
    assert scripts.move("lost", (field(held[0]), "home", message(0, deliveries=1), b"")) == [1, 0]
    with SchedulerProcess(tmp_path, redis_url, lease=LEASE) as scheduler:
        scheduler.wait_for("consumer.rescued")
        assert scheduler.stop() == 0
    assert set(scripts.list("pending")) == set(messages(range(3), deliveries=1))
    assert scripts.stats() == {"rescued": 3}


def test_a_message_that_a_half_open_connection_claims_for_a_tombstone_comes_back_unraised(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    scripts.open("", olds=[f"ended{n}" for n in range(600)])
    with SchedulerProcess(tmp_path, redis_url, lease=LEASE) as scheduler:
        scheduler.wait_for("scheduler.started")
        scripts.enqueue(message(1), message(2))
        scripts.block("ended5")
        scripts.block("ended599")
        wait_until(lambda: len(scripts.list("pending")) == 2, what=scheduler.output)
        line = scheduler.wait_for("consumer.rescued", 2)
        assert (line["count"], line["not_begun"]) == (0, 1)
        assert scheduler.stop() == 0
    assert set(scripts.list("pending")) == {message(1), message(2)}


def test_the_dead_set_is_trimmed(scripts: Scripts, redis_url: str, tmp_path: Path) -> None:
    now = scripts.now()
    for kind in ("dead:messages", "dead:reasons"):
        scripts.redis.hset(scripts.key(kind), mapping={f"e{n}": "{}" for n in range(2_500)})
    scripts.redis.zadd(scripts.key("dead"), {f"e{n}": now - 3_000 + n for n in range(2_500)})
    with SchedulerProcess(tmp_path, redis_url, dead_max_count=3) as scheduler:
        wait_until(lambda: scripts.redis.zcard(scripts.key("dead")) == 3, what=scheduler.output)
        assert list(scripts.dead()) == [b"e2497", b"e2498", b"e2499"]
        assert scheduler.wait_for("dead.trimmed")["queue"] == "q"
        assert scheduler.stop() == 0
