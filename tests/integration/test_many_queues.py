"""A worker and a scheduler with more queues than file descriptors, or than one question has room
for."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from support.redis_cluster import RedisCluster
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

QUEUES = 300
NAMES = [f"customer.{i}" for i in range(QUEUES)]

APP = f"""
def declare(i):
    @fluxqueue.task(name=f"work{{i}}", queue=f"customer.{{i}}", retry_delay=0.3)
    def work(text):
        if text == "again" and not os.path.exists("failed"):
            open("failed", "x").close()
            raise RuntimeError("the first attempt")
        note(f"{{i}} {{text}}")

for i in range({QUEUES}):
    declare(i)
"""


def under(limit: str) -> list[str]:
    return ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]


def push(redis: Any, i: int, text: str) -> None:
    raw = message(i, name=f"work{i}", args=f'["{text}"]'.encode())
    redis.lpush(key("pending", NAMES[i]), raw)


def test_a_worker_with_a_low_soft_limit_serves_all_of_many_queues(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3 * QUEUES:
        pytest.fail("this test needs a higher hard limit of open files")
    with (
        SchedulerProcess(tmp_path, redis_url) as scheduler,
        WorkerProcess(
            tmp_path, redis_url, APP, under=under("-Sn 128"), queue=",".join(NAMES)
        ) as worker,
    ):
        # Every queue has been found empty, and waits.
        wait_until(lambda: redis.info("clients")["blocked_clients"] == QUEUES, what=worker.output)
        for i in range(QUEUES):
            push(redis, i, "once")
        wait_until(lambda: len(worker.notes()) == QUEUES, what=worker.output)
        assert set(worker.notes()) == {f"{i} once" for i in range(QUEUES)}
        # The scheduler learns that one of many queues has a delayed task.
        push(redis, 217, "again")
        wait_until(lambda: "217 again" in worker.notes(), what=scheduler.output)
        wait_until(lambda: redis.info("clients")["blocked_clients"] == QUEUES, what=worker.output)
        assert worker.stop() == 0
        # A worker closes its consumers for a second. The scheduler buries those that are left if
        # the machine is slow.
        wait_until(lambda: not any(redis.hlen(key("workers", name)) for name in NAMES))
        assert scheduler.stop() == 0
    assert not worker.named("worker.disconnected")


def test_a_worker_whose_hard_limit_is_too_low_says_what_to_do(
    redis_url: str, tmp_path: Path
) -> None:
    with WorkerProcess(
        tmp_path, redis_url, APP, under=under("-n 128"), queue=",".join(NAMES)
    ) as worker:
        assert worker.wait() == 2
    assert "300 queues need" in worker.output() and "ulimit -n" in worker.output()


def test_a_scheduler_of_many_idle_queues_sends_few_commands(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    def calls(command: str) -> int:
        found: int = redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]
        return found

    redis.sadd(key("queues"), *NAMES)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.exists(key("sweep", NAMES[-1])), what=scheduler.output)
        redis.config_resetstat()
        # Three commands in each of 20 looks for due tasks.
        wait_until(lambda: calls("exists") >= 60, what=scheduler.output)
        assert calls("evalsha") < 20 * QUEUES / 10
        assert scheduler.stop() == 0


def test_in_a_cluster_a_scheduler_asks_idle_queues_by_exists_and_promotes_the_others(
    redis_cluster: RedisCluster, tmp_path: Path
) -> None:
    def calls(command: str) -> int:
        return sum(
            node.client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]
            for node in redis_cluster.masters()
        )

    with redis_cluster.client() as client:
        client.sadd(key("queues"), *NAMES)
        with SchedulerProcess(tmp_path, redis_cluster.url) as scheduler:
            wait_until(lambda: client.exists(key("sweep", NAMES[-1])), what=scheduler.output)
            for node in redis_cluster.masters():
                node.client.config_resetstat()
            wait_until(lambda: calls("exists") >= 20 * QUEUES, what=scheduler.output)
            # A `sweep` in about every tenth look, and no `promote`.
            assert calls("evalsha") < 20 * QUEUES / 2
            for name in NAMES[:3]:
                scripts = Scripts(client, name)
                client.zadd(scripts.key("delayed"), {message(1): 1})
                wait_until(lambda: scripts.list("pending"), what=scheduler.output)  # noqa: B023
            assert scheduler.stop() == 0
            assert scheduler.named("queue.failed") == []


def test_one_broken_queue_keeps_none_of_many_from_being_swept_or_promoted(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    queues = [Scripts(redis, name) for name in NAMES[:60]]
    redis.sadd(key("queues"), *NAMES[:60])
    for scripts in queues:
        scripts.claim("lost", message(7), lease=1)
    redis.set(queues[30].key("sweep"), "oops")
    redis.set(queues[31].key("delayed"), "oops")
    delaying = [queues[0], queues[29], queues[32], queues[59]]
    for scripts in delaying:
        redis.zadd(scripts.key("delayed"), {message(8): 1})
    with SchedulerProcess(tmp_path, redis_url, lease=1) as scheduler:
        wait_until(
            lambda: all(len(s.list("pending")) == 2 for s in delaying), what=scheduler.output
        )
        others = [s for s in queues if s.queue != NAMES[30]]
        wait_until(lambda: all(s.is_tombstone("lost") for s in others), what=scheduler.output)
        raised = message(7, deliveries=1)
        wait_until(lambda: all(raised in s.list("pending") for s in others), what=scheduler.output)
        scheduler.wait_for("queue.failed", queue=NAMES[30], doing="sweep")
        scheduler.wait_for("queue.failed", queue=NAMES[31], doing="promote")
        assert scheduler.stop() == 0
