"""Redis answers and refuses: it is out of memory, a key has another type, data are lost.

The worker tries again without hurry, and goes on when Redis accepts its commands.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from support.raw_messages import message
from support.system import System
from support.waiting import wait_until, wait_until_past

APP = """
@fluxqueue.task()
def work(number):
    with ledger.run(number):
        pass

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not os.path.exists(f"open-{number}"):
            time.sleep(0.01)
"""
WATCHED = 3.0
# Conversations begun in that time: one every 400 ms, and a few more at the start.
MOST = 15


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def conversations(system: System) -> int:
    """Counts the consumer ids so far; each stays for a day as a tombstone."""
    return int(system.redis.zcard(key("consumers", "default")))


def check_no_hurry(system: System) -> None:
    before = conversations(system)
    wait_until_past(time.monotonic() + WATCHED)
    assert conversations(system) - before <= MOST


@pytest.mark.versions
def test_out_of_memory_an_idle_worker_waits(tmp_path: Path, server: EmbeddedRedis) -> None:
    with System(tmp_path, server.url, APP, lease=3) as system:
        system.start_scheduler()
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        system.redis.config_set("maxmemory", "1mb")
        check_no_hurry(system)
        system.redis.config_set("maxmemory", "0")
        system.enqueue("work", range(10))
        system.wait_until_ended(range(10))
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0


@pytest.mark.versions
def test_out_of_memory_waiting_tasks_are_run_and_settled(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    """Settling frees memory, so Redis must allow it; the lease holds as well."""
    tasks = range(1, 200)
    with System(tmp_path, server.url, APP, lease=2) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=4)
        system.enqueue("hold", [0])
        wait_until(system.ledger.started)
        system.enqueue("work", tasks)
        system.redis.config_set("maxmemory", "1mb")
        system.wait_until_ended(tasks)
        wait_until_past(time.monotonic() + 2 * 2)
        (tmp_path / "open-0").touch()
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.named("worker.lease_lost") == []
        assert worker.stop() == 0


@pytest.mark.versions
def test_at_maxmemory_a_script_that_adds_a_task_wakes_the_worker(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    """From Redis 7.2 on, the BLMOVE that waits is woken, and then refused with OOM."""
    add = "return redis.call('LPUSH', KEYS[1], ARGV[1])"
    with System(tmp_path, server.url, APP, lease=10) as system:
        worker = system.start_worker()
        wait_until(lambda: system.redis.info("clients")["blocked_clients"] == 1)
        if int(system.redis.info("server")["redis_version"].partition(".")[0]) >= 7:
            add = "#!lua flags=allow-oom\n" + add
        else:
            add = "redis.call('LREM', KEYS[1], 1, '') " + add
        system.redis.config_set("maxmemory", "1mb")
        system.redis.eval(add, 1, key("pending", "default"), message("work", 1))
        system.wait_until_ended([1])
        system.wait_until_settled()
        assert conversations(system) == 1
        assert worker.named("worker.disconnected") == []
        assert worker.stop() == 0


def test_a_worker_waits_until_a_key_has_the_right_type(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    with System(tmp_path, server.url, APP, lease=3) as system:
        system.start_scheduler()
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        system.redis.set(key("suspects", "default"), "of another program")
        worker.wait_for("worker.disconnected")
        check_no_hurry(system)
        system.redis.delete(key("suspects", "default"))
        system.enqueue("work", range(10))
        system.wait_until_ended(range(10))
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0


def test_after_the_loss_of_all_data_the_worker_goes_on(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    with System(tmp_path, server.url, APP, lease=2) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=2)
        system.enqueue("hold", [0])
        wait_until(system.ledger.started)
        system.redis.flushall()
        worker.wait_for("worker.lease_lost", running=1)
        worker.wait_for("worker.connected", count=2)
        system.enqueue("work", range(1, 11))
        system.wait_until_ended(range(1, 11))
        (tmp_path / "open-0").touch()
        worker.wait_for("task.lost_lease")
        system.wait_until_settled()
        assert system.stats() == {"succeeded": 10}
        assert worker.stop() == 0


def test_a_slot_is_free_again_when_a_task_with_a_lost_lease_ends(
    tmp_path: Path, server: EmbeddedRedis
) -> None:
    """At once, and not with the next renewal of the lease."""
    with System(tmp_path, server.url, APP, lease=60) as system:
        worker = system.start_worker(concurrency=2)
        system.enqueue("hold", [0, 1])
        wait_until(lambda: len(system.ledger.started()) == 2)
        system.redis.flushall()
        # The reply to an outcome tells the worker that its lease is lost.
        (tmp_path / "open-0").touch()
        worker.wait_for("worker.lease_lost", running=1)
        worker.wait_for("worker.connected", count=2)
        system.enqueue("hold", [2, 3, 4])
        wait_until(lambda: system.ledger.started() == {0, 1, 2})
        wait_until_past(time.monotonic() + 1)  # until the worker sleeps
        (tmp_path / "open-1").touch()
        wait_until(lambda: system.ledger.started() == {0, 1, 2, 3}, timeout=5)
        for number in (2, 3, 4):
            (tmp_path / f"open-{number}").touch()
        system.wait_until_ended(range(5))
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
