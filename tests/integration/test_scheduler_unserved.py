"""A real scheduler warns of a queue in which tasks wait and that no worker serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_core.service import log
from fluxqueue_core.service.log import Fields
from fluxqueue_scheduler import unserved
from fluxqueue_scheduler.error_log import ErrorLog
from fluxqueue_scheduler.options import Options
from fluxqueue_scheduler.queues import RegisteredQueues
from fluxqueue_scheduler.service import Scheduler
from support.log_lines import Lines
from support.scripts import Scripts, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

LOOK = 0.05


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(log, "_logger", lines.logger("info"))
    return lines


@pytest.fixture
def scheduler(redis_url: str) -> Iterator[Scheduler]:
    options = Options(search_delay=0.05, search_interval=0.1, unserved_interval=LOOK)
    scheduler = Scheduler(Settings(redis_url), options)
    yield scheduler
    scheduler.stop()


def warnings(lines: list[Fields], queue: str) -> list[Fields]:
    return [line for line in lines if line["event"] == "queue.no_worker" and line["queue"] == queue]


def test_a_queue_that_no_worker_has_ever_served_is_named(
    redis: Any, scheduler: Scheduler, lines: list[Fields]
) -> None:
    forgotten, idle, suspected = (Scripts(redis, name) for name in ("forgotten", "idle", "suspect"))
    redis.lpush(forgotten.key("pending"), message(1), message(2))
    redis.lpush(suspected.key("suspects"), message(3))
    redis.sadd(key("queues"), "idle")
    scheduler.start()
    wait_until(lambda: warnings(lines, "forgotten") and warnings(lines, "suspect"))
    [line] = warnings(lines, "forgotten")
    assert (line["level"], line["waiting"]) == ("warning", 2)
    assert warnings(lines, "suspect")[0]["waiting"] == 1
    assert warnings(lines, idle.queue) == []


def test_the_warning_is_repeated_and_ends_with_the_lack(
    redis: Any, scheduler: Scheduler, lines: list[Fields], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Scripts(redis, "first"), Scripts(redis, "second")
    for scripts in (first, second):
        redis.lpush(scripts.key("pending"), message(1))
    scheduler.start()
    wait_until(lambda: warnings(lines, "first") and warnings(lines, "second"))
    # Not with each look.
    looks = _count_looks(monkeypatch)
    wait_until(lambda: len(looks) > 5)
    assert len(warnings(lines, "first")) == len(warnings(lines, "second")) == 1
    # A worker of one of them comes, as the script that opens a conversation sees it.
    first.open("c1", lease=60_000)
    monkeypatch.setattr(unserved, "WARN_INTERVAL", 0.0)
    wait_until(lambda: len(warnings(lines, "second")) >= 3)
    count = len(warnings(lines, "first"))
    wait_until(lambda: len(warnings(lines, "second")) >= 6)
    assert len(warnings(lines, "first")) == count
    redis.delete(second.key("pending"))
    looks.clear()
    wait_until(lambda: len(looks) > 2)
    count = len(warnings(lines, "second"))
    wait_until(lambda: len(looks) > 6)
    assert len(warnings(lines, "second")) == count
    # Its lease ends, and it has not come back.
    redis.zadd(first.key("consumers"), {"c1": time.time() * 1_000 - 1})
    count = len(warnings(lines, "first"))
    wait_until(lambda: len(warnings(lines, "first")) > count)


def _count_looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    looks: list[None] = []
    look = unserved.UnservedQueues._look

    def counted(self: unserved.UnservedQueues) -> dict[str, int | None]:
        looks.append(None)
        return look(self)

    monkeypatch.setattr(unserved.UnservedQueues, "_look", counted)
    return looks


def test_one_look_without_a_worker_is_not_enough(
    redis: Any, redis_url: str, lines: list[Fields]
) -> None:
    """As while a worker is replaced."""
    redis.lpush(Scripts(redis, "q").key("pending"), message(1))
    redis.sadd(key("queues"), "q")
    client = RedisClient(Settings(redis_url), 5.0)
    queues = RegisteredQueues(ErrorLog())
    queues.refresh(client)
    looks = unserved.UnservedQueues(client, queues, Options(unserved_interval=0.0))
    looks.step()
    assert warnings(lines, "q") == []
    looks.step()
    assert len(warnings(lines, "q")) == 1
    client.close()


def test_a_worker_that_serves_other_queues_does_not_count(
    tmp_path: Path, redis_url: str, scheduler: Scheduler, lines: list[Fields]
) -> None:
    app = (
        "@fluxqueue.task()\ndef work(): ...\n\n@fluxqueue.task(queue='payments')\ndef pay(): ...\n"
    )
    with WorkerProcess(tmp_path, redis_url, app) as worker:
        worker.wait_for("worker.connected")
        FluxQueue(redis_url).task(name="pay", queue="payments")(lambda: None)()
        scheduler.start()
        wait_until(lambda: warnings(lines, "payments"))
        assert warnings(lines, "default") == []
        with WorkerProcess(tmp_path, redis_url, app, queue="*") as both:
            both.wait_for("task.done", name="pay")
            assert both.stop() == 0
