"""Rates, waits, run times and reports of real workers, which count only while a reader watches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_control import stats, workers
from fluxqueue_control.redis_client import RedisClient
from support.monitored import monitored
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
import asyncio

@fluxqueue.task(retry_delay=0, max_retries=1)
def work(kind):
    if kind == "fails":
        raise ValueError(kind)
    note(kind)

@fluxqueue.task()
async def waits(name):
    note("began")
    while not os.path.exists(name):
        await asyncio.sleep(0.01)
"""
LEASE = 1


def tasks_of(redis_url: str) -> tuple[Any, Any]:
    client = FluxQueue(redis_url)

    @client.task(retry_delay=0, max_retries=1)
    def work(kind: str) -> None: ...

    @client.task()
    async def waits(name: str) -> None: ...

    return work, waits


def totals(control: RedisClient) -> stats.Numbers:
    return stats.read_totals(control, ["default"])["default"]


def wait_until_watched(control: RedisClient, work: Any) -> None:
    """The worker counts from the moment on when it learns of a reader."""
    stats.watch(control, ["default"])

    def is_counted() -> bool:
        work("asked")
        return totals(control).ends.succeeded > 0

    wait_until(is_counted)


def test_workers_count_while_a_reader_watches(
    redis_url: str, redis: Any, control: RedisClient, tmp_path: Path
) -> None:
    work, waits = tasks_of(redis_url)
    with WorkerProcess(tmp_path, redis_url, APP, lease=LEASE, concurrency=2) as worker:
        work("before")
        worker.wait_for("task.done")
        assert totals(control) == stats.Numbers()
        wait_until_watched(control, work)
        before = totals(control)

        for _ in range(20):
            work("good")
        work("fails")
        waits.enqueue(str(tmp_path / "go"))
        wait_until(lambda: worker.notes().count("began") == 1)

        def others_are_counted() -> bool:
            now = totals(control)
            wanted = before.ends.succeeded + 20
            return now.ends.succeeded >= wanted and now.ends.retried == 1

        wait_until(others_are_counted, what=lambda: str(totals(control)))
        [found] = [w for w in workers.scan(control, "default") if w.report is not None]
        assert found.report is not None
        # More than an interpreter needs, less than this machine has.
        assert 5 << 20 < (found.report.memory or 0) < 1 << 31
        wait_until(lambda: reported(control) == ["waits"])
        (tmp_path / "go").touch()
        wait_until(lambda: "waits" in totals(control).tasks)
        wait_until(lambda: reported(control) == [])

    counted = totals(control)
    assert counted.tasks["waits"].succeeded == 1
    assert (counted.tasks["work"].retried, counted.ends.retried) == (1, 1)
    # Each attempt has a run time, and each first attempt a wait. No scheduler runs the retry.
    attempts = counted.ends.succeeded + 1
    assert counted.run.count == counted.wait.count == attempts
    longest = counted.run.percentile(100)
    assert longest is not None and longest >= counted.tasks["waits"].ran


def reported(control: RedisClient) -> list[str]:
    """The names of the tasks that workers report."""
    found = workers.scan(control, "default")
    return [task.name for w in found if w.report is not None for task in w.report.tasks]


def test_a_delayed_task_has_waited_since_it_was_due(
    redis_url: str, control: RedisClient, tmp_path: Path
) -> None:
    from support.scheduler_process import SchedulerProcess

    work, _ = tasks_of(redis_url)
    with (
        SchedulerProcess(tmp_path, redis_url, lease=LEASE),
        WorkerProcess(tmp_path, redis_url, APP, lease=LEASE),
    ):
        wait_until_watched(control, work)
        counted = totals(control).wait.count
        begun = time.monotonic()
        work.options(delay=4).enqueue("later")
        wait_until(lambda: totals(control).wait.count > counted)
        whole = time.monotonic() - begun
    waits = totals(control).wait
    # All waits together are shorter than this one since its call.
    assert waits.total / 1e6 < whole


def test_a_window_has_the_whole_slots_of_its_time(redis: Any, control: RedisClient) -> None:
    now = int(redis.time()[0]) // 10 * 10
    for ago, count in ((0, 100), (10, 1), (60, 10), (70, 1_000)):
        name = control.key("stats:slot", "q", str(now - ago))
        redis.hset(name, mapping={"s:": count, "x20": count, "xsum": count * 100})
    windows = stats.read(control, ["q", "other"], 55)
    if int(redis.time()[0]) // 10 * 10 == now:
        assert windows["q"].numbers.ends.succeeded == 11
        assert (windows["q"].seconds, windows["q"].rate) == (60, 11 / 60)
        assert windows["q"].numbers.run.count == 11
    assert windows["other"].numbers == stats.Numbers()
    for seconds in (9, 901):
        with pytest.raises(ValueError, match=f"the window is {seconds} s long; give 10 to 900"):
            stats.read(control, ["q"], seconds)


def test_a_worker_that_no_reader_watches_sends_no_more_and_keeps_no_key(
    redis_url: str, redis: Any, tmp_path: Path
) -> None:
    work, _ = tasks_of(redis_url)
    consumers = "fluxqueue:{default}:consumers"
    renewals: set[bytes] = set()

    def has_renewed() -> bool:
        renewals.update(redis.zrange(consumers, 0, -1, withscores=True))
        return len(renewals) > 4

    with WorkerProcess(tmp_path, redis_url, APP, lease=LEASE) as worker:
        worker.wait_for("worker.connected")
        with monitored(redis) as commands:
            for _ in range(5):
                work("plain")
            wait_until(has_renewed)
            wait_until(lambda: redis.hget("fluxqueue:{default}:stats", "succeeded") == b"5")
    # A renewal asks with a command that it sends anyway.
    asked = [text for text in commands.of_scripts if "watched" in text]
    keys = (f"fluxqueue:{{default}}:{kind}" for kind in ("paused", "prioritized", "cancelled"))
    exists = " ".join(("EXISTS", *keys))
    assert set(asked) == {f"{exists} fluxqueue:{{default}}:watched"}
    exchanges = [text for text in commands.plain if text.startswith("EVAL")]
    assert len([text for text in commands.of_scripts if text.startswith(exists)]) == len(exchanges)
    others = ("stats:slot", "report")
    assert not [text for text in commands.of_scripts if any(other in text for other in others)]
    names = {name.decode() for name in redis.scan_iter()}
    assert not [name for name in names if any(other in name for other in (*others, "watched"))]
