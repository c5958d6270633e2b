"""A scheduler that finds its master by real Sentinels."""

from __future__ import annotations

from pathlib import Path

import redis
from fluxqueue_core import key
from support.redis_process import RedisProcess
from support.redis_sentinel import RedisSentinel
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message
from support.waiting import wait_until

LEASE = 2


def works_on(server: RedisProcess, scheduler: SchedulerProcess, number: int) -> None:
    """A due task is moved and a lost consumer's is rescued."""
    client = redis.Redis(host="127.0.0.1", port=server.port, password=server.password)
    scripts = Scripts(client)
    assert scripts.redis.sismember(key("queues"), "q")
    consumer = f"lost{number}"
    scripts.claim(consumer, message(number + 1))
    scripts.end_lease(consumer)
    # Afterwards: the consumer would claim what is moved.
    scripts.redis.zadd(scripts.key("delayed"), {message(number): 1})
    wanted = {message(number), message(number + 1, deliveries=1)}
    wait_until(lambda: wanted <= set(scripts.list("pending")), what=scheduler.output)
    client.delete(scripts.key("pending"))
    client.close()


def test_a_scheduler_follows_the_master(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path / "redis", password="secret1", sentinel_password="secret2") as s:
        first = s.master()
        first.client.sadd(key("queues"), "q")
        assert first.client.wait(2, 10_000) == 2
        with SchedulerProcess(tmp_path, s.url, lease=LEASE) as scheduler:
            works_on(first, scheduler, 10)
            # A crash; the sentinel that it has asked is gone as well.
            s.wait_for_replicas()
            s.sentinels[0].kill()
            s.kill_master()
            second = s.wait_for_failover(first)
            works_on(second, scheduler, 20)
            # The old master returns as a replica, and then becomes the master.
            first.start()
            s.sentinels[0].start()
            s.wait_until_healthy()
            s.wait_for_replicas()
            third = s.failover()
            works_on(third, scheduler, 30)
            # It hangs, and its connections stay open.
            s.wait_for_replicas()
            third.pause()
            fourth = s.wait_for_failover(third)
            works_on(fourth, scheduler, 40)
            third.go_on()
            assert scheduler.stop() == 0
            assert scheduler.named("scheduler.failed") == []
            # Once for each time, not for each attempt.
            away = len(scheduler.named("redis.unavailable"))
            assert 2 <= away <= 6 and len(scheduler.named("redis.available")) == away
            assert "secret" not in scheduler.output()


def test_the_error_without_sentinels_names_what_is_missing(tmp_path: Path) -> None:
    url = "redis+sentinel://127.0.0.1:1,127.0.0.1:2/tasks"
    with SchedulerProcess(tmp_path, url) as scheduler:
        line = scheduler.wait_for("redis.unavailable")
        assert "tasks" in line["error"] and "refused" in line["error"]
        assert scheduler.stop() == 0
