"""Tasks with priorities, with real workers: their order, who wakes, and what outlives a loss."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from fluxqueue_core import key
from support import apps
from support.redis_sentinel import RedisSentinel
from support.system import System
from support.waiting import wait_until

# Without the exchange that follows a BLMOVE, or without the guard, the other workers of an idle
# system see the next task only at a renewal: every 200 s, so later than a test waits.
LEASE = 600.0


def blocked(system: System) -> int:
    return int(system.redis.info("clients")["blocked_clients"])


@pytest.mark.versions
def test_ten_priorities_run_in_their_order_and_each_in_the_order_of_its_calls(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    priorities = [*range(10)] * 3
    chance.shuffle(priorities)
    with System(tmp_path, redis_url, apps.work()) as system:
        for number, priority in enumerate(priorities):
            system.enqueue("work", [number], priority=priority)
            time.sleep(0.002)  # the order of calls is that of the milliseconds of their ids
        system.start_worker(concurrency=1)
        system.wait_until_ended(range(30))
        ran = [run.number for run in system.ledger.runs()]
        assert ran == sorted(range(30), key=lambda number: -priorities[number])
        system.wait_until_settled()


def test_a_call_has_its_own_priority(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, apps.work()) as system:
        task = system.task("work", priority=4)
        for number, priority in enumerate((4, 0, 9)):
            task.options(priority=priority).enqueue(number)
        system.start_worker(concurrency=1)
        system.wait_until_ended(range(3))
        assert [run.number for run in system.ledger.runs()] == [2, 0, 1]


@pytest.mark.versions
@pytest.mark.parametrize("call", ["one bulk", "single calls"])
def test_a_batch_into_an_idle_system_wakes_all_workers(
    tmp_path: Path, redis_url: str, call: str
) -> None:
    """There is no scheduler, which would mend what is missing."""
    workers = 4
    with System(tmp_path, redis_url, apps.HOLD, lease=LEASE) as system:
        for _ in range(workers):
            system.start_worker(concurrency=1)
        wait_until(lambda: blocked(system) == workers)
        if call == "one bulk":
            system.enqueue("hold", range(workers), priority=5)
        else:
            for number in range(workers):
                system.enqueue("hold", [number], priority=5)
        wait_until(lambda: len(system.ledger.runs()) == workers)
        assert len({run.pid for run in system.ledger.runs()}) == workers
        (tmp_path / "open").touch()
        system.wait_until_ended(range(workers))
        system.wait_until_settled()


def test_the_scheduler_wakes_others_if_the_taker_of_a_task_is_lost(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, apps.work(), lease=LEASE) as system:
        system.start_scheduler().wait_for("scheduler.started")
        system.start_worker(concurrency=1)
        wait_until(lambda: blocked(system) == 1)
        # A BLMOVE has handed out the head of pending, and its worker is gone: what it leaves.
        system.redis.zadd(key("prioritized", "default"), {message(redis_url, 1): 1})
        system.wait_until_ended([1])
        system.wait_until_settled()


def message(redis_url: str, number: int) -> bytes:
    """The message of a call with a priority, which is not in Redis."""
    import redis
    from fluxqueue import FluxQueue

    queue = FluxQueue(redis_url)

    @queue.task(name="work", queue="elsewhere", priority=5)
    def work(number: int) -> None: ...

    work(number)
    queue.close()
    with redis.Redis.from_url(redis_url) as client:
        taken: bytes = client.rpop(key("pending", "elsewhere"))
    return taken


def test_workers_that_are_killed_lose_no_task_and_hide_none(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    tasks = range(600)
    with System(tmp_path, redis_url, apps.work(0.01), lease=3.0) as system:
        system.start_scheduler().wait_for("scheduler.started")
        workers = [system.start_worker(concurrency=2) for _ in range(3)]
        for start in range(0, 600, 60):
            priority = chance.randrange(10)
            system.enqueue("work", tasks[start : start + 60], priority=priority)
            if start % 120 == 0:
                system.wait_for_ends(max(start - 60, 1))
                victim = workers.pop(0)
                victim.kill()
                workers.append(system.start_worker(concurrency=2))
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert system.stats()["succeeded"] == 600 and "dead" not in system.stats()


def test_priorities_outlive_a_failover_of_sentinels(
    tmp_path: Path, redis_sentinel: RedisSentinel
) -> None:
    """Calls before and after the death of the master run in one order, and so do retries."""
    servers = redis_sentinel
    url = servers.url + "?wait_replicas=2&timeout=60&wait_timeout=50"
    with System(tmp_path, url, FAILS_ONCE, lease=3.0, redis_client=servers.client) as system:
        for number in range(1, 10):
            system.enqueue("work", [number], priority=number)
        old = servers.kill_master()
        servers.wait_for_failover(old)
        # It becomes a replica of the new master; until then no call is acknowledged.
        old.start()
        servers.wait_until_healthy()
        for number in range(10, 20):
            system.enqueue("work", [number], priority=number - 10)
        system.enqueue("work", [0], priority=9)
        system.start_scheduler().wait_for("scheduler.started")
        system.start_worker(concurrency=1)
        system.wait_until_ended(range(20))
        ran = [run.number for run in system.ledger.runs() if run.number]
        # 1 and 11 have priority 1, 2 and 12 priority 2; 10 has none.
        assert ran == [*(n for p in range(9, 0, -1) for n in (p, p + 10)), 10]
        with servers.client() as redis:
            assert not redis.exists(key("pending", "default"), key("prioritized", "default"))


FAILS_ONCE = """
@fluxqueue.task_with_context(retry_delay=0.05, jitter=False)
def work(ctx: Context, number):
    if number == 0 and ctx.metadata.retries == 0:
        raise ValueError("the first attempt")
    with ledger.run(number):
        time.sleep(0.02)
"""


def test_a_retry_keeps_its_priority(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, FAILS_ONCE) as system:
        system.enqueue("work", range(1, 200), priority=3)
        system.enqueue("work", [0], priority=9)
        system.start_scheduler().wait_for("scheduler.started")
        system.start_worker(concurrency=1)
        system.wait_until_ended(range(200))
        ran = [run.number for run in system.ledger.runs()]
        # It passes those of the lower priority, but for the few that the worker had claimed.
        assert ran.index(0) < 150
        system.wait_until_settled()


def test_a_rescue_keeps_its_priority(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, apps.work() + apps.HOLD, lease=2.0) as system:
        system.start_scheduler().wait_for("scheduler.started")
        system.enqueue("hold", [0], priority=9)
        victim = system.start_worker(concurrency=1)
        wait_until(lambda: system.ledger.runs())
        victim.kill()
        (tmp_path / "open").touch()
        system.enqueue("work", range(1, 20))
        system.enqueue("work", range(20, 40), priority=4)
        wait_until(lambda: system.stats().get("rescued") == 1)
        system.start_worker(concurrency=1)
        system.wait_until_ended(range(40))
        ran = [run.number for run in system.ledger.runs()]
        assert ran[:2] == [0, 0] and set(ran[2:22]) == set(range(20, 40))
        system.wait_until_settled()
