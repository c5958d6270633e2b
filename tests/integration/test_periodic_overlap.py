"""Periodic tasks with overlap="skip": no run begins while the last one has not ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import periodic as control
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_core.periodic.record import lock_digest
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

QUEUE = "default"
# The first attempt of each run fails. With the pause before the retry, a run lasts for more than
# two moments.
APP = """
@fluxqueue.periodic(every=1, overlap="skip")
@fluxqueue.task_with_context(retry_delay=1.2, max_retries=1)
def work(ctx: Context):
    note(f"{ctx.metadata.task_id} begins")
    time.sleep(0.5)
    if ctx.metadata.retries == 0:
        raise RuntimeError("at first it fails")
    note(f"{ctx.metadata.task_id} ends")
"""
LOCK = lock_digest("work")


@pytest.fixture
def client(redis_url: str) -> Any:
    client = RedisClient(Settings(redis_url), 5.0)
    yield client
    client.close()


@pytest.fixture
def app(redis: Any, redis_url: str) -> Any:
    redis.sadd(key("queues"), QUEUE)
    app = FluxQueue(redis_url)
    yield app
    app.close()


@pytest.fixture
def work(app: FluxQueue) -> Any:
    @app.task()
    def work() -> None: ...

    app.schedule("work", work.call(), every=1, overlap="skip")
    return work


def kinds(client: RedisClient) -> list[str]:
    shown = control.show(client, QUEUE, "work")
    return [] if shown is None else [run.kind for run in shown.runs[::-1]]


def test_a_run_keeps_others_out_until_its_last_attempt_has_ended(
    client: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    with (
        WorkerProcess(tmp_path, redis_url, APP, concurrency=4) as worker,
        SchedulerProcess(folder, redis_url) as scheduler,
    ):

        def ended() -> int:
            return sum(note.endswith("ends") for note in worker.notes())

        wait_until(lambda: ended() >= 3, what=scheduler.output)
        found = kinds(client)
        assert worker.stop() == 0
    notes = [note.split()[0] for note in worker.notes()]
    # Two attempts begin and one ends, and then comes another run.
    assert notes[:9] == [notes[0]] * 3 + [notes[3]] * 3 + [notes[6]] * 3
    assert len(set(notes[:9])) == 3
    # A late scheduler misses moments too.
    assert {"run", "skipped"} <= set(found) <= {"run", "skipped", "missed"}
    assert "run run" not in " ".join(found)


def test_a_waiting_run_keeps_others_out_and_one_run_by_hand(
    client: RedisClient, app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path, work: Any
) -> None:
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: kinds(client).count("skipped") >= 2, what=scheduler.output)
        [waiting] = redis.lrange(key("pending", QUEUE), 0, -1)
        run = waiting[13:49].decode()
        lock = redis.hgetall(key("unique", QUEUE, LOCK))
        assert (lock[b"id"].decode(), lock[b"text"]) == (run, b"periodic task work")
        assert 0 < redis.ttl(key("unique", QUEUE, LOCK)) <= 86_400
        with pytest.raises(control.RunInProgress, match="has not ended"):
            control.run_now(client, QUEUE, "work")
        assert redis.llen(key("pending", QUEUE)) == 1
        # Its end lets the next one begin; a cancel of a waiting task is one.
        app.handle(run).cancel()

        def others() -> set[bytes]:
            return {raw[13:49] for raw in redis.lrange(key("pending", QUEUE), 0, -1)}

        wait_until(lambda: others() - {run.encode()}, what=scheduler.output)


def test_a_run_by_hand_keeps_others_out(client: RedisClient, redis: Any, work: Any) -> None:
    run = control.run_now(client, QUEUE, "work")
    assert run is not None
    assert redis.hget(key("unique", QUEUE, LOCK), "id").decode() == run
    with pytest.raises(control.RunInProgress):
        control.run_now(client, QUEUE, "work")
    assert kinds(client) == ["by hand", "skipped"]


def test_one_run_begins_for_all_missed_moments(
    client: RedisClient, app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path, work: Any
) -> None:
    app.schedule("work", work.options(priority=3).call(), every=1, overlap="skip", catch_up=5)
    seconds, _ = redis.time()
    redis.zadd(key("periodic:due", QUEUE), {"work": (int(seconds) - 20) * 1_000})
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: kinds(client), what=scheduler.output)
        found = kinds(client)
    assert found[:6] == ["missed", "run", *["skipped"] * 4]
    assert redis.llen(key("pending", QUEUE)) + redis.zcard(key("prioritized", QUEUE)) == 1


def test_the_lock_of_a_delayed_run_lives_behind_its_delay(
    client: RedisClient, app: FluxQueue, redis: Any, redis_url: str, tmp_path: Path, work: Any
) -> None:
    app.schedule("work", work.call(), every=1, overlap="skip", jitter=86_400)
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: "skipped" in kinds(client), what=scheduler.output)
    [(_, due)] = redis.zrange(key("delayed", QUEUE), 0, -1, withscores=True)
    seconds, _ = redis.time()
    left = redis.ttl(key("unique", QUEUE, LOCK))
    assert abs(left - (due / 1_000 - int(seconds) + 86_400)) < 60


def test_a_lock_of_another_type_keeps_no_run_out(
    redis: Any, redis_url: str, tmp_path: Path, work: Any
) -> None:
    redis.set(key("unique", QUEUE, LOCK), "garbage")
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        wait_until(lambda: redis.llen(key("pending", QUEUE)) >= 2, what=scheduler.output)
