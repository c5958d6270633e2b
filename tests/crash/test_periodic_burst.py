"""Thousands of periodic tasks of one moment, while the scheduler is killed in the middle."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue.periodic import read
from fluxqueue_core import key
from support.scheduler_process import SchedulerProcess
from support.waiting import Deadline, wait_until

ENTRIES = 10_000
EVERY = 4
AT_ONCE = 500
PENDING = key("pending", "q")


def schedule(url: str) -> None:
    """Periodic tasks that all have the same moments, of which none is left out."""
    app = FluxQueue(url)

    @app.task(queue="q")
    def work(number: int) -> None: ...

    start = datetime.now(UTC).replace(microsecond=0)
    made = [
        read(f"{n}", work.call(n), None, {"every": EVERY, "start": start, "catch_up": 100})
        for n in range(ENTRIES)
    ]
    for at in range(0, ENTRIES, AT_ONCE):
        entries = [entry.scheduled(declared=False) for entry in made[at : at + AT_ONCE]]
        app.broker.producer.schedule("q", [b"set", *(part for one in entries for part in one)])
    app.close()


def kill_in_the_middle(redis: Any, scheduler: SchedulerProcess) -> int:
    """Kills the scheduler when some of the runs of a moment are in the queue; returns how many
    are there then."""
    deadline = Deadline(60)
    before = redis.llen(PENDING)
    while (found := redis.llen(PENDING)) == before:
        assert not deadline.over(), scheduler.output()
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.process.wait()
    return int(redis.llen(PENDING)) if found else 0


def test_a_scheduler_that_is_killed_in_the_middle_of_a_moment_loses_and_doubles_no_run(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    redis.sadd(key("queues"), "q")
    schedule(redis_url)
    in_the_middle = 0
    for _ in range(5):
        with SchedulerProcess(tmp_path, redis_url) as scheduler:
            found = kill_in_the_middle(redis, scheduler)
        in_the_middle += found % ENTRIES != 0
        if in_the_middle == 2:
            break
    assert in_the_middle, "each time all runs of the moment were there"
    with SchedulerProcess(tmp_path, redis_url) as scheduler:
        now = redis.time()[0] * 1_000
        due = key("periodic:due", "q")
        wait_until(lambda: redis.zcount(due, "-inf", now) == 0, what=scheduler.output)
    moments: dict[str, list[int]] = {}
    for raw in redis.lrange(PENDING, 0, -1):
        task_id = raw[13:49].decode()
        moments.setdefault(task_id[14:], []).append(int(task_id[:8] + task_id[9:13], 16))
    assert len(moments) == ENTRIES
    last = max(map(max, moments.values()))
    for of_entry in moments.values():
        assert len(set(of_entry)) == len(of_entry), "a moment came twice"
        every = set(range(min(of_entry), last + 1, EVERY * 1_000))
        # The scheduler was stopped in the middle of the last one.
        assert every - {last} <= set(of_entry) <= every
