"""Several queues, pauses, forgotten scripts, and a worker without a scheduler."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fluxqueue_core import key
from support.lateness import machine
from support.system import System
from support.waiting import wait_until

APP = """
def run(number, seconds):
    with ledger.run(number):
        time.sleep(seconds)

@fluxqueue.task(queue="high")
def high(number, seconds):
    run(number, seconds)

@fluxqueue.task(queue="low")
def low(number, seconds):
    run(number, seconds)

@fluxqueue.task()
def work(number, seconds):
    run(number, seconds)
"""
HIGH, LOW = range(100), range(1000, 1100)
# How long a task of these takes.
SECONDS = 0.02


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_first_queue_has_priority_and_the_other_does_not_starve(
    tmp_path: Path, redis_url: str, concurrency: int
) -> None:
    with System(tmp_path, redis_url, APP) as system:
        began = time.monotonic()
        system.enqueue("high", HIGH, SECONDS, queue="high")
        system.enqueue("low", LOW, SECONDS, queue="low")
        worker = system.start_worker(queue="high,low", concurrency=concurrency)
        system.wait_until_ended([*HIGH, *LOW])
        for queue in ("high", "low"):
            system.wait_until_settled(queue)
        order = [run.number in HIGH for run in system.ledger.runs()]
        # The last ones are in the hands of threads, and a busy machine may delay one of these.
        begins = [at for at, is_high in enumerate(order) if is_high]
        while_high_waited = order[: begins[-concurrency]]
        low_meanwhile = while_high_waited.count(False)
        assert low_meanwhile > 0, "the low queue has starved"
        # While Redis is late with tasks of the high queue, the worker runs what it has.
        late = machine().allowance(began) / SECONDS * concurrency
        assert low_meanwhile < len(HIGH) / 2 + late, "the high queue has no priority"
        assert system.ledger.run_twice() == set()
        assert worker.stop() == 0


@pytest.mark.parametrize("concurrency", [1, 2])
def test_an_idle_queue_takes_nothing_from_a_busy_one(
    tmp_path: Path, redis_url: str, concurrency: int
) -> None:
    """The worker waits for both when the tasks arrive; one queue stays empty."""
    tasks = range(40)
    with System(tmp_path, redis_url, APP, lease=20) as system:
        worker = system.start_worker(queue="high,low", concurrency=concurrency)
        worker.wait_for("worker.connected", count=2)
        system.enqueue("high", tasks, 0.05, queue="high")
        system.wait_until_ended(tasks, timeout=8)
        runs = system.ledger.runs()
        running = [sum(o.start <= r.start < (o.end or 0) for o in runs) for r in runs]
        assert max(running) == concurrency
        # This is the rule: of tasks that begin in step, half find all others running.
        assert running.count(concurrency) > len(tasks) / 2 / concurrency
        assert worker.stop() == 0


@pytest.mark.parametrize("queue", ["high", "high,low"])
def test_tasks_that_arrive_together_begin_together(
    tmp_path: Path, redis_url: str, queue: str
) -> None:
    """The first task wakes an idle worker, which asks for the others at once."""
    rounds, concurrency, together = 8, 4, 0
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker(queue=queue, concurrency=concurrency)
        worker.wait_for("worker.connected", count=queue.count(",") + 1)
        for number in range(rounds):
            tasks = range(number * concurrency, (number + 1) * concurrency)
            system.enqueue("high", tasks, 0.2, queue="high")
            system.wait_until_ended(tasks)
            system.wait_until_settled("high")
            runs = [run for run in system.ledger.runs() if run.number in tasks]
            first_end = min(run.end or 0 for run in runs)
            together += all(run.start < first_end for run in runs)
        assert together > rounds / 2
        assert worker.stop() == 0


def test_a_paused_queue_is_left_alone_until_it_is_resumed(tmp_path: Path, redis_url: str) -> None:
    tasks = range(50)
    with System(tmp_path, redis_url, APP, lease=2) as system:
        system.redis.set(key("paused", "default"), "1")
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        system.enqueue("work", tasks, 0)
        # Meanwhile the worker renews its lease.
        ends = _ends(system)
        wait_until(lambda: _ends(system) > ends + 3_000)
        assert system.ledger.started() == set()
        assert system.waiting() == {"pending": len(tasks)}
        system.redis.delete(key("paused", "default"))
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.named("worker.lease_lost") == []
        assert worker.stop() == 0


def _ends(system: System) -> float:
    """Returns when the lease of the only consumer ends, in ms."""
    scores = system.redis.zrange(key("consumers", "default"), 0, -1, withscores=True)
    (score,) = [score for _, score in scores if score > 0]
    return float(score)


def test_a_queue_can_be_paused_under_load(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP, lease=2) as system:
        worker = system.start_worker(concurrency=4, log_level="warning")
        system.enqueue("work", range(400), 0.02)
        system.wait_for_ends(50)
        system.redis.set(key("paused", "default"), "1")
        # The worker runs the tasks that it has claimed; then it is idle.
        wait_until(lambda: set(system.waiting()) == {"pending"})
        ran = len(system.ledger.ended())
        assert ran == len(system.ledger.started()) < 400
        system.redis.delete(key("paused", "default"))
        system.wait_until_ended(range(400))
        assert worker.stop() == 0


def test_scripts_that_redis_has_forgotten_are_sent_again(tmp_path: Path, redis_url: str) -> None:
    tasks = range(600)
    with System(tmp_path, redis_url, APP) as system:
        scheduler = system.start_scheduler()
        worker = system.start_worker(concurrency=4, log_level="warning")
        system.enqueue("work", tasks, 0.01)
        for at in (50, 200, 350):
            system.wait_for_ends(at)
            system.redis.script_flush()
        system.wait_until_ended(tasks)
        system.wait_until_settled()
        assert system.ledger.run_twice() == set()
        assert worker.named("worker.disconnected") == []
        assert worker.stop() == 0 and scheduler.stop() == 0
        assert scheduler.named("queue.failed") == []


def test_a_worker_warns_that_no_scheduler_runs(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP) as system:
        worker = system.start_worker()
        system.enqueue("work", range(10), 0)
        system.wait_until_ended(range(10))
        assert worker.wait_for("worker.no_scheduler")["queue"] == "default"
        assert worker.stop() == 0


def test_a_worker_does_not_warn_while_a_scheduler_runs(tmp_path: Path, redis_url: str) -> None:
    with System(tmp_path, redis_url, APP, lease=2) as system:
        scheduler = system.start_scheduler()
        worker = system.start_worker()
        worker.wait_for("worker.connected")
        ended = _ends(system)
        wait_until(lambda: _ends(system) > ended + 6_000)
        assert worker.named("worker.no_scheduler") == []
        # The worker also notices that a scheduler has gone.
        assert scheduler.stop() == 0
        assert worker.wait_for("worker.no_scheduler")["seconds"] > 5
        assert worker.stop() == 0
