"""`--reload`: a worker with the code as it is now, after each change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fluxqueue import FluxQueue
from support.waiting import wait_until
from support.worker_process import PRELUDE, WorkerProcess

APP = """
@fluxqueue.task()
def work(number):
    note(f"{number} {os.getpid()}")
"""
CHANGED = APP.replace("{number}", "new {number}")


@contextmanager
def reloading(folder: Path, redis_url: str, app: str = APP) -> Iterator[WorkerProcess]:
    with WorkerProcess(folder, redis_url, app, reload=True) as worker:
        worker.wait_for("worker.connected")
        yield worker


def save(folder: Path, app: str) -> None:
    """Writes the application as editors do: a new file takes the name of the old one."""
    new = folder / "app.py.tmp"
    new.write_text(PRELUDE + app)
    new.rename(folder / "app.py")


def connected(worker: WorkerProcess, times: int) -> Callable[[], bool]:
    return lambda: len(worker.named("worker.connected")) >= times


def call(client: FluxQueue, number: int) -> None:
    client.task(name="work")(lambda number: None)(number)


def test_a_fresh_interpreter_runs_the_new_code(
    tmp_path: Path, redis_url: str, client: FluxQueue
) -> None:
    with reloading(tmp_path, redis_url) as worker:
        call(client, 1)
        wait_until(lambda: len(worker.notes()) == 1)
        save(tmp_path, CHANGED)
        wait_until(connected(worker, 2))
        call(client, 2)
        wait_until(lambda: len(worker.notes()) == 2)
        assert worker.stop() == 0
    (_, old), (_, number, new) = (line.split() for line in worker.notes())
    assert (number, old != new) == ("2", True)
    [changed] = worker.named("reload.changed")
    assert changed["files"] == [str(tmp_path / "app.py")]


def test_a_syntax_error_keeps_the_watcher(tmp_path: Path, redis_url: str) -> None:
    with reloading(tmp_path, redis_url) as worker:
        save(tmp_path, "def broken(:\n")
        worker.wait_for("reload.worker_ended")
        worker.wait_for_output("SyntaxError")
        save(tmp_path, CHANGED)
        wait_until(connected(worker, 2))
        assert worker.stop() == 0


def test_ignored_and_other_files_start_nothing(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("generated/\n*_pb2.py\n")
    (tmp_path / "generated").mkdir()
    with reloading(tmp_path, redis_url) as worker:
        for name in ("generated/models.py", "shop_pb2.py", "notes.txt"):
            (tmp_path / name).write_text("x = 1\n")
        save(tmp_path, CHANGED)
        wait_until(connected(worker, 2))
        assert worker.stop() == 0
    files = [name for event in worker.named("reload.changed") for name in event["files"]]
    assert files == [str(tmp_path / "app.py")]
    assert len(worker.named("worker.connected")) == 2


def test_many_changes_at_once_start_one_worker(tmp_path: Path, redis_url: str) -> None:
    with reloading(tmp_path, redis_url) as worker:
        for number in range(20):
            (tmp_path / f"module_{number}.py").write_text("x = 1\n")
        wait_until(connected(worker, 2))
        assert worker.stop() == 0
    assert len(worker.named("worker.connected")) == 2


LONG = """
@fluxqueue.task(max_retries=0)
def work(number):
    note(f"begin {number}")
    if len(open(os.environ["NOTES"]).readlines()) == 1:
        time.sleep(60)
    note(f"end {number}")
"""


def test_a_task_longer_than_the_drain_runs_in_the_new_worker(
    tmp_path: Path, redis_url: str, client: FluxQueue
) -> None:
    with reloading(tmp_path, redis_url, LONG) as worker:
        call(client, 1)
        wait_until(lambda: worker.notes() == ["begin 1"])
        save(tmp_path, LONG + "\n")
        wait_until(lambda: worker.notes() == ["begin 1", "begin 1", "end 1"])
        assert worker.stop() == 0


def child_of(worker: WorkerProcess) -> int:
    children = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text()
    [child] = children.split()
    return int(child)


def is_gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_killed_watcher_leaves_no_worker(tmp_path: Path, redis_url: str) -> None:
    with reloading(tmp_path, redis_url) as worker:
        child = child_of(worker)
        os.kill(worker.process.pid, signal.SIGKILL)
        wait_until(lambda: is_gone(child))


def test_a_killed_worker_is_replaced_after_a_change(tmp_path: Path, redis_url: str) -> None:
    with reloading(tmp_path, redis_url) as worker:
        os.kill(child_of(worker), signal.SIGKILL)
        worker.wait_for("reload.worker_ended")
        save(tmp_path, CHANGED)
        wait_until(connected(worker, 2))
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-t", "app", "--reload-dir", "nowhere"], "is not a folder"),
        (["-t", "app", "--lease", "x"], "--lease"),
        (["-t", "missing"], "missing"),
    ],
)
def test_a_wrong_command_line_ends_it(tmp_path: Path, options: list[str], why: str) -> None:
    (tmp_path / "app.py").write_text(PRELUDE + APP)
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue_worker", "--reload", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert why in done.stderr


def test_the_extra_is_named_if_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PRELUDE + APP)
    hidden = "import sys; sys.modules['watchfiles'] = None; import fluxqueue_worker.cli as c; "
    done = subprocess.run(
        [sys.executable, "-c", hidden + "sys.exit(c.main(['-t', 'app', '--reload']))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs watchfiles, which is not installed: pip install 'pathspec" in done.stderr
