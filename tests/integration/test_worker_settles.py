"""What has ended is settled about as fast as it ends: it does not pile up."""

from __future__ import annotations

from pathlib import Path

from fluxqueue import FluxQueue
from fluxqueue_core import key
from redis import Redis
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def fast():
    pass
"""
BACKLOG, IN_A_CALL = 200_000, 1_000
# Claimed ahead (2,048), ended and gathered (1,000 and what ends during an exchange),
# and one exchange on its way: not a share of the backlog.
MOST_HELD = 8_000


def test_a_worker_holds_few_tasks_of_a_long_backlog(tmp_path: Path, redis_url: str) -> None:
    def fast() -> None:
        raise AssertionError("only the worker runs it")

    backlog = FluxQueue(redis_url).task()(fast)
    for _ in range(BACKLOG // IN_A_CALL):
        backlog.enqueue_many([()] * IN_A_CALL)
    held = [0]
    with (
        Redis.from_url(redis_url) as redis,
        WorkerProcess(tmp_path, redis_url, APP, log_level="warning") as worker,
    ):

        def settled() -> bool:
            for claimed in redis.scan_iter(key("claimed", "default", "*"), count=1000):
                held.append(redis.hlen(claimed))
            return int(redis.hget(key("stats", "default"), "succeeded") or 0) == BACKLOG

        wait_until(settled, what=worker.output, timeout=120)
        assert worker.stop() == 0
    assert 0 < max(held) < MOST_HELD
