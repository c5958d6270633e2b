"""Messages that a later version of FluxQueue has written, during a rolling upgrade."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from fluxqueue_core import key
from support import apps
from support.system import System
from support.waiting import wait_until

APP = apps.work()
NEWER = [b'{"v":3,"task":"work","n":%d}' % number for number in range(20)]


def wait_until_taken_by_a_newer_worker(system: System) -> list[bytes]:
    """Takes all messages that today's worker has put off, when they are due."""
    taken: list[bytes] = []

    def all_taken() -> bool:
        raw: Any = system.redis.rpop(key("pending", "default"))
        if raw is not None:
            taken.append(raw)
        return len(taken) == len(NEWER)

    wait_until(all_taken, what="all of the newer messages")
    return taken


def test_newer_messages_are_left_for_workers_that_can_read_them(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(unknown_task_grace=60)
        worker.wait_for("worker.connected")
        # A BLMOVE takes some, an exchange the others.
        for raw in NEWER:
            system.redis.lpush(key("pending", "default"), raw)
        system.enqueue("work", range(100))
        system.wait_until_ended(range(100))
        worker.wait_for("task.newer_version")
        assert worker.stop() == 0
        assert sorted(wait_until_taken_by_a_newer_worker(system)) == sorted(NEWER)
        assert system.stats() == {"succeeded": 100}


def test_newer_messages_are_parked_after_the_grace_period(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP) as system:
        system.start_scheduler()
        worker = system.start_worker(unknown_task_grace=1)
        system.redis.lpush(key("pending", "default"), *NEWER)
        system.enqueue("work", range(10))
        system.wait_until_ended(range(10))
        worker.wait_for("task.parked", count=len(NEWER), reason="unknown_version")
        system.wait_until_settled()
        parked = system.redis.hgetall(key("dead:messages", "default"))
        assert sorted(parked.values()) == sorted(NEWER)
        reasons = system.redis.hvals(key("dead:reasons", "default"))
        assert {json.loads(text)["reason"] for text in reasons} == {"unknown_version"}
        assert worker.stop() == 0


def test_newer_messages_of_a_lost_worker_return_unchanged(tmp_path: Path, redis_url: str) -> None:
    """A newer worker held them; today's scheduler can't raise a count that it can't read."""
    with System(tmp_path, redis_url, APP, lease=1) as system:
        claimed = key("claimed", "default", "newer-worker")
        system.redis.sadd(key("queues"), "default")
        system.redis.hset(claimed, mapping={f"field {n}": raw for n, raw in enumerate(NEWER)})
        system.redis.zadd(
            key("consumers", "default"), {"newer-worker": int(time.time() * 1000) + 100}
        )
        scheduler = system.start_scheduler()
        scheduler.wait_for("consumer.rescued", count=1, dead=0)
        home: Any = system.redis.lrange(key("pending", "default"), 0, -1)
        assert sorted(home) == sorted(NEWER)
        assert not system.redis.exists(claimed)
