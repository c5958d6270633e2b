"""Runs of a periodic task that may not overlap, while workers are killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxqueue_core import key
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

LEASE = 2
APP = """
@fluxqueue.periodic(every=1, overlap="skip")
@fluxqueue.task_with_context()
def work(ctx: Context):
    note(f"{ctx.metadata.task_id} begins")
    if not os.path.exists("killed"):
        time.sleep(60)
    note(f"{ctx.metadata.task_id} ends")
"""


def test_a_run_whose_worker_was_killed_keeps_others_out_until_it_is_rescued_and_ends(
    redis: Any, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    with SchedulerProcess(folder, redis_url, lease=LEASE) as scheduler:
        with WorkerProcess(tmp_path, redis_url, APP, lease=LEASE) as worker:
            wait_until(worker.notes, what=scheduler.output)
            worker.kill()
        (tmp_path / "killed").touch()
        with WorkerProcess(tmp_path, redis_url, APP, lease=LEASE) as worker:
            wait_until(lambda: len(worker.notes()) >= 5, what=scheduler.output)
            assert worker.stop() == 0
        first = worker.notes()[0].split()[0]
        ids = [note.split()[0] for note in worker.notes()]
        # It begins again elsewhere and ends, and only then comes the next run.
        assert ids[:3] == [first] * 3 and first not in ids[3:]
        assert worker.notes()[2] == f"{first} ends"
        runs = key("periodic:runs", "default")
        wait_until(lambda: b":s " in (redis.hget(runs, "work") or b""), what=scheduler.output)
