"""Periodic tasks with overlap="queue": a run waits until the last one has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxqueue_core import key
from fluxqueue_core.periodic.record import line_digest
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.periodic(every=1, overlap="queue")
@fluxqueue.task_with_context(retry_delay=0.01, max_retries=1)
def work(ctx: Context):
    note(f"begin {ctx.metadata.task_id}")
    time.sleep(1.2)
    note(f"end {ctx.metadata.task_id}")
"""


def test_runs_begin_in_the_order_of_their_moments_one_at_a_time(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    line, digest = key("limit:line", "default", line_digest("work")), line_digest("work")
    with (
        WorkerProcess(tmp_path, redis_url, APP, concurrency=4) as worker,
        SchedulerProcess(folder, redis_url) as scheduler,
    ):
        wait_until(lambda: len(worker.notes()) >= 8, what=scheduler.output)
        # A run takes longer than the time to the next moment, so others wait.
        wait_until(lambda: redis.llen(line), what=scheduler.output)
        assert redis.zcard(key("limit:places", "default", digest)) == 1
        assert worker.stop() == 0
    notes = [note.split() for note in worker.notes()]
    assert [what for what, _ in notes[:8]] == ["begin", "end"] * 4
    runs = [run for what, run in notes[:8] if what == "begin"]
    # The id of a run begins with its moment.
    assert runs == sorted(set(runs))
