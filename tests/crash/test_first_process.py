"""The worker as the first process of a container: orphans, signals and exit codes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from support.raw_messages import push
from support.worker_process import WorkerProcess

# The shell ends at once, and the first process inherits what it started. Nothing
# but a `wait` in the first process removes it from /proc.
APP = """
@fluxqueue.task()
def leave_an_orphan():
    import subprocess
    command = "sleep 0.05 >/dev/null & echo $!"
    orphan = int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE).stdout)
    while os.path.exists(f"/proc/{orphan}"):
        time.sleep(0.01)
    note("collected")

@fluxqueue.task()
def wait_for_a_child():
    import subprocess
    note(f"code {subprocess.run(['sh', '-c', 'exit 7']).returncode}")
"""
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(autouse=True)
def _needs_namespaces() -> None:
    if shutil.which(NAMESPACE[0]) is None or subprocess.run([*NAMESPACE, "true"]).returncode != 0:
        pytest.skip("no PID namespaces here")


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_process_collects_orphans(
    tmp_path: Path, redis_url: str, redis: Redis, processes: int
) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, under=NAMESPACE, processes=processes) as worker:
        push(redis, "leave_an_orphan")
        push(redis, "wait_for_a_child")
        worker.wait_for("task.done", count=2)
        assert sorted(worker.notes()) == ["code 7", "collected"]


def test_the_first_process_drains(tmp_path: Path, redis_url: str, redis: Redis) -> None:
    """The kernel gives a first process no signal that it has no handler for."""
    app = (
        "@fluxqueue.task()\ndef end():\n"
        "    import signal\n    note(os.getpid())\n    os.kill(1, signal.SIGTERM)\n"
    )
    push(redis, "end")
    with WorkerProcess(tmp_path, redis_url, app, under=NAMESPACE) as worker:
        assert worker.wait() == 0, worker.output()
        # Process 1 forwards signals to the worker, its child.
        assert worker.notes() == ["2"]
        assert worker.named("worker.stopped")


def test_the_first_process_reports_the_death_of_its_worker(
    tmp_path: Path, redis_url: str, redis: Redis
) -> None:
    app = "@fluxqueue.task()\ndef die():\n    os.kill(os.getpid(), 9)\n"
    with WorkerProcess(tmp_path, redis_url, app, under=NAMESPACE) as worker:
        push(redis, "die")
        assert worker.wait() == 128 + 9
