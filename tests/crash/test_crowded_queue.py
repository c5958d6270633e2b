"""A long backlog of fast tasks in one queue does not keep another waiting."""

from __future__ import annotations

from pathlib import Path

from fluxqueue import FluxQueue
from fluxqueue_core import key
from support.system import System
from support.waiting import wait_until

APP = """
@fluxqueue.task(queue="high")
def fast():
    pass

@fluxqueue.task(queue="low")
def work(number):
    with ledger.run(number):
        pass
"""
# If each of them was found only when the lease is renewed (every 3.3 s), they would take
# longer than the backlog.
SMALL = 8
BACKLOG = 600_000
IN_A_CALL = 1_000


def test_a_task_of_the_other_queue_does_not_wait_for_the_backlog(
    tmp_path: Path, redis_url: str
) -> None:
    with System(tmp_path, redis_url, APP) as system:

        def fast() -> None:
            raise AssertionError("only the worker runs it")

        queue = FluxQueue(redis_url)
        backlog = queue.task(queue="high")(fast)
        for _ in range(BACKLOG // IN_A_CALL):
            backlog.enqueue_many([()] * IN_A_CALL)
        worker = system.start_worker(queue="high,low")
        waiting = key("pending", "high")
        wait_until(lambda: system.redis.llen(waiting) < BACKLOG)
        for number in range(SMALL):
            system.enqueue("work", [number], queue="low")
            system.wait_until_ended(range(number + 1))
        assert system.redis.llen(waiting) > 0, "they waited for the backlog"
        system.redis.delete(waiting)
        assert worker.stop() == 0
