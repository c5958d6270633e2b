"""SIGTERM and SIGINT under load: nothing is lost, runs twice or costs a retry."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
from support.cluster import Cluster
from support.raw_messages import delayed, pending
from support.waiting import wait_until

APP = """
@fluxqueue.task_with_context()
def work(ctx: Context, number):
    assert ctx.metadata.retries == 0
    with ledger.run(number):
        time.sleep(0.02)

@fluxqueue.task_with_context()
async def work_async(ctx: Context, number):
    import asyncio
    assert ctx.metadata.retries == 0
    with ledger.run(number):
        await asyncio.sleep(0.02)

@fluxqueue.task()
def noop(number):
    with ledger.run(number):
        pass

@fluxqueue.task()
def hold(number):
    with ledger.run(number):
        while not os.path.exists("open"):
            time.sleep(0.01)
"""
TASKS = range(2000)
OPTIONS: dict[str, Any] = {"concurrency": 10, "log_level": "warning"}


def check_counts(cluster: Cluster) -> None:
    """No task has lost a retry or a delivery, wherever it is."""
    parts = [*pending(cluster.redis), *(parts for parts, _ in delayed(cluster.redis))]
    assert {(p["retries"], p["deliveries"]) for p in parts} <= {(0, 0)}
    assert not {"retried", "rescued", "dead"} & cluster.stats().keys()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["work", "work_async"])
def test_a_worker_is_ended_under_load_and_another_goes_on(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str, number: signal.Signals
) -> None:
    """Its lease is so long that a task which it did not give back would not come."""
    with Cluster(tmp_path, redis_url, APP, lease=600) as cluster:
        cluster.start_scheduler()
        first, second = cluster.start_worker(**OPTIONS), cluster.start_worker(**OPTIONS)
        cluster.enqueue(name, TASKS)
        wait_until(lambda: any(run.pid == first.pid for run in cluster.ledger.runs()))
        cluster.wait_for_ends(chance.randrange(1, 1500))
        first.signal(number)
        assert first.wait() == 0
        cluster.wait_until_ended(TASKS)
        cluster.wait_until_settled()
        assert second.stop() == 0
        assert cluster.ledger.run_twice() == set()
        check_counts(cluster)
        assert cluster.stats() == {"succeeded": len(TASKS)}


@pytest.mark.parametrize("name", ["work", "noop", "work_async"])
def test_workers_are_ended_one_after_the_other_until_all_is_done(
    tmp_path: Path, redis_url: str, chance: random.Random, name: str
) -> None:
    """Also with tasks of which many are claimed ahead."""
    tasks = range(60_000 if name == "noop" else 2000)
    with Cluster(tmp_path, redis_url, APP, lease=600) as cluster:
        cluster.start_scheduler()
        cluster.enqueue(name, tasks)
        for _ in range(3):
            more = chance.randrange(1, len(tasks) // 5)
            worker = cluster.start_worker(**OPTIONS)
            # A fast worker may have done all by then.
            cluster.wait_for_ends(min(len(tasks), len(cluster.ledger.ended()) + more))
            assert worker.stop() == 0
            assert len(cluster.ledger.ended()) == len(cluster.ledger.started())
            left = len(cluster.ledger.lost(tasks))
            assert cluster.waiting() == ({"pending": left} if left else {})
            check_counts(cluster)
        cluster.start_worker(**OPTIONS)
        cluster.wait_until_ended(tasks)
        cluster.wait_until_settled()
        assert cluster.ledger.run_twice() == set()
        assert cluster.stats() == {"succeeded": len(tasks)}


@pytest.mark.parametrize("how", ["deadline", "second signal"])
def test_what_does_not_end_runs_elsewhere_without_a_count(
    tmp_path: Path, redis_url: str, how: str
) -> None:
    timeout = 0.3 if how == "deadline" else 600
    running, waiting = range(4), range(4, 12)
    with Cluster(tmp_path, redis_url, APP, lease=600) as cluster:
        cluster.start_scheduler()
        first = cluster.start_worker(drain_timeout=timeout)
        cluster.enqueue("hold", running)
        wait_until(lambda: cluster.ledger.started() == set(running))
        cluster.enqueue("hold", waiting)
        first.signal(signal.SIGTERM)
        first.wait_for("worker.draining")
        if how == "second signal":
            assert first.process.poll() is None
            first.signal(signal.SIGTERM)
        assert first.wait() == 0
        assert cluster.waiting() == {"pending": 12}
        check_counts(cluster)
        (tmp_path / "open").touch()
        cluster.start_worker()
        cluster.wait_until_ended([*running, *waiting])
        cluster.wait_until_settled()
        assert cluster.ledger.run_twice() == set(running)
        check_counts(cluster)
        assert cluster.stats() == {"succeeded": 12}


def test_sigquit_under_load_shows_stacks_and_changes_nothing(
    tmp_path: Path, redis_url: str, chance: random.Random
) -> None:
    tasks = range(500)
    with Cluster(tmp_path, redis_url, APP) as cluster:
        worker = cluster.start_worker(**OPTIONS)
        cluster.enqueue("work", tasks)
        for _ in range(3):
            cluster.wait_for_ends(len(cluster.ledger.ended()) + chance.randrange(1, 100))
            worker.signal(signal.SIGQUIT)
        worker.wait_for_output("Current thread")
        worker.wait_for("task.running")
        cluster.wait_until_ended(tasks)
        cluster.wait_until_settled()
        assert cluster.ledger.run_twice() == set()
        assert worker.stop() == 0
