"""Redis away, restarted, not ready; signals."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from redis import Redis
from support.logging_process import LoggingProcess
from support.scheduler_process import SchedulerProcess
from support.scripts import Scripts, message
from support.waiting import wait_until, wait_until_past


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of the test's own, which it may kill."""
    with EmbeddedRedis(tmp_path / "redis", appendfsync="always") as server:
        yield server


@pytest.fixture
def own(server: EmbeddedRedis) -> Iterator[Scripts]:
    with Redis.from_url(server.url) as client:
        client.sadd(key("queues"), "q")
        yield Scripts(client)


def test_after_a_restart_of_redis_no_task_is_rescued_before_a_lease_has_passed(
    server: EmbeddedRedis, own: Scripts, tmp_path: Path
) -> None:
    lease = 2
    with SchedulerProcess(tmp_path, server.url, lease=lease) as scheduler:
        wait_until(own.is_calm, what=scheduler.output)
        own.claim("healthy", message(1), lease=lease * 1_000)
        own.claim("lost", message(2), lease=lease * 1_000)
        server.kill()
        scheduler.wait_for("redis.unavailable")
        # Away until both leases have ended: this is what an outage does.
        wait_until_past(time.monotonic() + lease)
        server.start()
        back = own.now()

        def lost_is_rescued() -> bool:
            # The healthy worker is back within its grace, and renews.
            own.exchange("healthy", lease=lease * 1_000)
            return own.is_tombstone("lost")

        wait_until(lost_is_rescued, what=scheduler.output)
        score = own.score("lost")
        assert score is not None and -score >= back + lease * 1_000 - 1
        wait_until(lambda: own.list("pending"), what=scheduler.output)
        assert own.list("pending") == [message(2, deliveries=1)]
        assert list(own.held("healthy").values()) == [message(1)]
        assert scheduler.stop() == 0


@pytest.mark.parametrize("others", [0, 50])
def test_redis_away_is_said_once_and_work_goes_on_within_a_second_of_its_return(
    server: EmbeddedRedis, own: Scripts, tmp_path: Path, others: int
) -> None:
    own.redis.sadd(key("queues"), own.queue, *[f"other{i}" for i in range(others)])
    with SchedulerProcess(tmp_path, server.url) as scheduler:
        wait_until(lambda: own.redis.exists(own.key("sweep")), what=scheduler.output)
        server.kill()
        scheduler.wait_for("redis.unavailable")
        server.start()
        own.redis.zadd(own.key("delayed"), {message(1): 1})
        wait_until(lambda: own.list("pending"), what=scheduler.output)
        scheduler.wait_for("redis.available")
        assert len(scheduler.named("redis.unavailable")) == 1
        assert len(scheduler.named("redis.available")) == 1
        assert scheduler.named("scheduler.failed") == []
        assert scheduler.stop() == 0


def test_a_scheduler_starts_without_redis_and_waits_for_it(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        server.kill()
        with SchedulerProcess(tmp_path, server.url) as scheduler:
            scheduler.wait_for("redis.unavailable")
            server.start()
            scheduler.wait_for("redis.available")
            assert scheduler.stop() == 0


def test_the_scripts_are_loaded_again_where_redis_has_forgotten_them(
    server: EmbeddedRedis, own: Scripts, tmp_path: Path
) -> None:
    with SchedulerProcess(tmp_path, server.url) as scheduler:
        wait_until(lambda: own.redis.exists(own.key("sweep")), what=scheduler.output)
        own.redis.script_flush()
        own.redis.zadd(own.key("delayed"), {message(1): 1})
        wait_until(lambda: own.list("pending"), what=scheduler.output)
        assert scheduler.stop() == 0


def test_a_read_only_replica_is_waited_for(
    server: EmbeddedRedis, own: Scripts, tmp_path: Path
) -> None:
    with SchedulerProcess(tmp_path, server.url) as scheduler:
        wait_until(lambda: own.redis.exists(own.key("sweep")), what=scheduler.output)
        own.redis.replicaof("127.0.0.1", 1)
        line = scheduler.wait_for("redis.unavailable")
        assert "replica" in line["error"]
        own.redis.replicaof("NO", "ONE")
        scheduler.wait_for("redis.available")
        own.redis.zadd(own.key("delayed"), {message(1): 1})
        wait_until(lambda: own.list("pending"), what=scheduler.output)
        assert len(scheduler.named("redis.unavailable")) == 1
        assert scheduler.named("queue.failed") == []
        assert scheduler.stop() == 0


def test_at_maxmemory_it_goes_on(server: EmbeddedRedis, own: Scripts, tmp_path: Path) -> None:
    # Redis has a quarter of the lease to answer: enough for a slow machine.
    with SchedulerProcess(tmp_path, server.url, lease=6) as scheduler:
        own.claim("lost", message(1))
        own.redis.zadd(own.key("delayed"), {message(2): own.now() + 1_000})
        own.end_lease("lost")
        own.redis.config_set("maxmemory", "1")
        if own.flags:
            wait_until(lambda: len(own.list("pending")) == 2, what=scheduler.output)
            assert scheduler.named("redis.unavailable") == []
        else:  # before Redis 7 nothing can be done until there is memory again
            scheduler.wait_for("redis.unavailable")
            own.redis.config_set("maxmemory", "0")
            wait_until(lambda: len(own.list("pending")) == 2, what=scheduler.output)
        assert scheduler.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(
    own: Scripts, server: EmbeddedRedis, tmp_path: Path, number: signal.Signals
) -> None:
    with SchedulerProcess(tmp_path, server.url) as scheduler:
        wait_until(lambda: own.redis.exists(own.key("sweep")), what=scheduler.output)
        scheduler.signal(number)
        assert scheduler.wait() == 0
        assert scheduler.named("scheduler.stopped")[0]["signal"] == number.name
        assert scheduler.other_output == []


def test_signals_end_it_although_an_earlier_thread_does_not_block_them(tmp_path: Path) -> None:
    """As under `opentelemetry-instrument`, which starts threads before the scheduler runs."""
    (tmp_path / "scheduler_with_thread.py").write_text(
        "import sys, threading\n"
        "from fluxqueue_scheduler.cli import main\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "sys.exit(main([]))\n"
    )
    module = "scheduler_with_thread"
    with LoggingProcess(tmp_path, "redis://127.0.0.1:1", module, {}) as scheduler:
        scheduler.wait_for("scheduler.started")
        # Signals follow each other until the test sees the end of the process.
        while scheduler.process.poll() is None:
            scheduler.signal(signal.SIGTERM)
            time.sleep(0.001)
        assert scheduler.wait() == 0
        assert len(scheduler.named("scheduler.stopped")) == 1


def test_a_signal_ends_it_while_redis_is_down(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        server.kill()
        with SchedulerProcess(tmp_path, server.url) as scheduler:
            scheduler.wait_for("redis.unavailable")
            assert scheduler.stop() == 0


def test_the_log_has_no_password(redis: Any, redis_url: str, tmp_path: Path) -> None:
    url = redis_url.replace("redis://", "redis://somebody:s3cret@")
    with SchedulerProcess(tmp_path, url) as scheduler:
        scheduler.wait_for("redis.unavailable")  # the server knows no such user
        assert scheduler.stop() == 0
        assert "s3cret" not in scheduler.output()


def test_a_registry_of_another_type_is_one_clear_line_and_known_queues_go_on(
    server: EmbeddedRedis, own: Scripts, tmp_path: Path
) -> None:
    with SchedulerProcess(tmp_path, server.url) as scheduler:
        wait_until(lambda: own.redis.exists(own.key("sweep")), what=scheduler.output)
        own.redis.delete(key("queues"))
        own.redis.set(key("queues"), "somebody's")
        line = scheduler.wait_for("queues.unreadable")
        assert (line["level"], line["key"]) == ("error", key("queues"))
        assert "WRONGTYPE" in line["error"] and "delete the key" in line["remedy"]
        own.redis.zadd(own.key("delayed"), {message(1): 1})
        wait_until(lambda: own.list("pending") == [message(1)], what=scheduler.output)
        # Gone again: the search that follows a start makes it again.
        own.redis.delete(key("queues"))
        assert scheduler.stop() == 0
        assert scheduler.other_output == [] and not scheduler.named("scheduler.failed")
        assert len(scheduler.named("queues.unreadable")) == 1
