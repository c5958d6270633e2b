"""A real scheduler process moves what is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fluxqueue_core import key
from support.lateness import machine
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message, messages
from support.waiting import PATIENCE, Deadline, wait_until, wait_until_past


def register(scripts: Scripts) -> None:
    scripts.redis.sadd(key("queues"), scripts.queue)


def test_due_tasks_move_soon_after_their_time_and_never_before(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    register(scripts)
    with SchedulerProcess(tmp_path, redis_url, log_level="debug") as scheduler:
        wait_until(lambda: scripts.redis.exists(scripts.key("sweep")))
        began, now = time.monotonic(), scripts.now()
        waiting = messages(range(20))
        due = {m: now + 200 + 10 * n for n, m in enumerate(waiting)}
        scripts.redis.zadd(scripts.key("delayed"), due)
        arrived: dict[bytes, int] = {}
        deadline = Deadline(PATIENCE)
        while len(arrived) < len(due):
            before = scripts.now()
            here = scripts.list("pending")
            after = scripts.now()
            for m in here:
                assert after >= due[m], "moved before its time"
                arrived.setdefault(m, before)
            assert not deadline.over(), scheduler.output()
        assert scripts.list("pending") == waiting
        late = machine().allowance(began)
        # The scheduler promises 0.1 s; this test grants it ten times as much.
        assert max(arrived[m] - due[m] for m in due) < 1_000 * (1 + late)
        scheduler.wait_for("tasks.promoted", queue="q")
        assert scheduler.stop() == 0


def test_a_queue_that_appears_later_is_found(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        scheduler.wait_for("scheduler.started")
        scripts.redis.zadd(scripts.key("delayed"), {message(1): 1})
        register(scripts)
        wait_until(lambda: scripts.list("pending"), what=scheduler.output)


def test_thousands_of_tasks_due_together_are_promoted_in_order(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    register(scripts)
    due = messages(range(12_345), args=b"[]")
    scripts.redis.zadd(scripts.key("delayed"), {m: n + 1 for n, m in enumerate(due)})
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: not scripts.delayed(), what=scheduler.output)
        assert scripts.list("pending") == due


def test_the_death_of_one_of_two_schedulers_loses_and_doubles_nothing(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    register(scripts)
    with (
        SchedulerProcess(tmp_path, redis_url) as victim,
        SchedulerProcess(tmp_path, redis_url) as other,
    ):
        victim.wait_for("scheduler.started")
        other.wait_for("scheduler.started")
        now = scripts.now()
        due = {m: now + 100 + 3 * n for n, m in enumerate(messages(range(500)))}
        scripts.redis.zadd(scripts.key("delayed"), due)
        wait_until(lambda: len(scripts.list("pending")) >= 100, what=other.output)
        victim.kill()
        wait_until(lambda: not scripts.delayed(), what=other.output)
        arrived = scripts.list("pending")
        assert len(arrived) == 500 and set(arrived) == set(due)
        assert other.stop() == 0


def test_the_death_of_the_only_scheduler_loses_and_doubles_nothing(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    register(scripts)
    with SchedulerProcess(tmp_path, redis_url) as first:
        first.wait_for("scheduler.started")
        now = scripts.now()
        due = {m: now + 100 + 3 * n for n, m in enumerate(messages(range(500)))}
        scripts.redis.zadd(scripts.key("delayed"), due)
        wait_until(lambda: len(scripts.list("pending")) >= 100, what=first.output)
        first.kill()
    with SchedulerProcess(tmp_path, redis_url) as second:
        wait_until(lambda: not scripts.delayed(), what=second.output)
        arrived = scripts.list("pending")
        assert len(arrived) == 500 and set(arrived) == set(due)


def test_an_error_of_one_queue_does_not_stop_another(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    bad, good = Scripts(redis, "bad"), Scripts(redis, "good")
    redis.sadd(key("queues"), "bad", "good", b"no {queue}", b"\xff")
    redis.set(bad.key("delayed"), "oops")
    redis.set(bad.key("consumers"), "oops")
    redis.set(bad.key("sweep"), "oops")
    with SchedulerProcess(tmp_path, redis_url, lease=1) as scheduler:
        scheduler.wait_for("queue.failed", queue="bad", doing="promote")
        scheduler.wait_for("queue.failed", queue="bad", doing="sweep")
        scheduler.wait_for("queue.name_refused", 2)
        good.claim("c", message(1))
        good.end_lease("c")
        redis.zadd(good.key("delayed"), {message(2): 1})
        wait_until(lambda: len(good.list("pending")) == 2, what=scheduler.output)
        assert set(good.list("pending")) == {message(1, deliveries=1), message(2)}
        wait_until_past(time.monotonic() + 1)
        failures = scheduler.named("queue.failed", queue="bad")
        assert len(failures) == len({line["doing"] for line in failures}), "said again and again"
        assert scheduler.stop() == 0
        assert scheduler.other_output == []


def test_the_set_of_queues_may_be_something_else(
    scripts: Scripts, redis_url: str, tmp_path: Path
) -> None:
    scripts.redis.set(key("queues"), "oops")
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        line = scheduler.wait_for("queues.unreadable")
        assert "WRONGTYPE" in line["error"]
        scripts.redis.delete(key("queues"))
        register(scripts)
        scripts.redis.zadd(scripts.key("delayed"), {message(1): 1})
        wait_until(lambda: scripts.list("pending"), what=scheduler.output)
        assert scheduler.stop() == 0
