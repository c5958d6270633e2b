"""From the first to the last date of a periodic task, and what it leaves behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import periodic as control
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_core.periodic.plan import delay
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

QUEUE = "q"
KINDS = ("periodic", "periodic:messages", "periodic:due", "periodic:runs")


@pytest.fixture
def app(redis_url: str, redis: Any) -> Any:
    redis.sadd(key("queues"), QUEUE)
    app = FluxQueue(redis_url)
    yield app
    app.close()


@pytest.fixture
def work(app: FluxQueue) -> Any:
    @app.task(queue=QUEUE)
    def work(number: int = 0) -> None: ...

    return work


def moments(redis: Any) -> list[int]:
    """The moments of the waiting runs, in seconds since 1970, the oldest first."""
    ids = [raw[13:49].decode() for raw in redis.lrange(key("pending", QUEUE), 0, -1)[::-1]]
    return [int(task_id[:8] + task_id[9:13], 16) // 1_000 for task_id in ids]


def test_runs_come_from_the_first_date_to_the_last_one_and_then_nothing_is_left(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    start = datetime.fromtimestamp(redis.time()[0] + 3, UTC)
    end = start + timedelta(seconds=2)
    app.schedule("a", work.call(), every=1, start=start, end=end, catch_up=100)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.exists(key("periodic", QUEUE)) == 0, what=scheduler.output)
    first = round(start.timestamp())
    assert moments(redis) == [first, first + 1, first + 2]
    assert redis.exists(*(key(kind, QUEUE) for kind in KINDS)) == 0
    # It may be scheduled again.
    assert app.schedule("a", work.call(), every=1) == "added"


def test_a_declared_periodic_task_stays_after_its_last_date(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    app.periodic(every=1, end=datetime.fromtimestamp(redis.time()[0] + 2, UTC))(work)
    [declared] = work.periodic
    arguments = [b"declare", b"60000", *declared.scheduled(declared=True)]
    assert app.broker.producer.schedule(QUEUE, arguments) == ["added"]
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.exists(key("periodic:due", QUEUE)) == 0, what=scheduler.output)
    # Its next declaration would bring it back.
    assert app.broker.producer.schedule(QUEUE, arguments) == ["unchanged"]


def test_a_run_that_no_worker_begins_before_the_next_moment_expires(
    app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    source = """
@fluxqueue.task(queue="q")
def work():
    note("run")
"""

    @app.task(queue=QUEUE)
    def work() -> None: ...

    app.schedule("a", work.call(), every=1)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 4, what=scheduler.output)
        app.unschedule("a", queue=QUEUE)
    waiting = redis.llen(key("pending", QUEUE))
    stats = key("stats", QUEUE)
    with WorkerProcess(tmp_path, redis_url, source, queue=QUEUE) as worker:

        def ended() -> int:
            return sum(int(redis.hget(stats, kind) or 0) for kind in ("expired", "succeeded"))

        wait_until(lambda: ended() == waiting, what=worker.output)
    assert int(redis.hget(stats, "expired")) >= waiting - 1
    assert len(worker.notes()) <= 1


def test_jitter_delays_a_run_by_what_each_scheduler_computes(
    app: FluxQueue, work: Any, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    # An id whose next run is delayed by minutes.
    jitter = 600_000
    now = redis.time()[0]
    entry = next(f"{n}" for n in range(1_000) if delay(f"{n}", now * 1_000, jitter) > 500_000)
    start = datetime.fromtimestamp(now, UTC)
    app.schedule(entry, work.call(), every=3_600, jitter=600, start=start)
    redis.zadd(key("periodic:due", QUEUE), {entry: now * 1_000})
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.exists(key("delayed", QUEUE)), what=scheduler.output)
    [(raw, due)] = redis.zrange(key("delayed", QUEUE), 0, -1, withscores=True)
    assert due == now * 1_000 + delay(entry, now * 1_000, jitter)
    # It expires at the next moment, and the jitter later.
    assert b'"x":%d' % (now * 1_000 + 3_600_000 + jitter) in raw


def test_the_history_is_bounded(app: FluxQueue, work: Any, redis: Any, redis_url: str) -> None:
    client = RedisClient(Settings(redis_url), 5.0)
    app.schedule("a", work.call(), every=3_600)
    ids = [control.run_now(client, QUEUE, "a") for _ in range(100)]
    assert len(set(ids)) == 100 == redis.llen(key("pending", QUEUE))
    assert redis.hstrlen(key("periodic:runs", QUEUE), "a") <= 640
    shown = control.show(client, QUEUE, "a")
    client.close()
    assert shown is not None and 25 <= len(shown.runs) <= 40
    assert [run.moment for run in shown.runs] == sorted(
        (run.moment for run in shown.runs), reverse=True
    )
