"""Threads that the system has not to give are started once it has."""

from __future__ import annotations

from pathlib import Path

from fluxqueue import FluxQueue
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
start = threading.Thread.start

def start_if_there_is_room(thread):
    if thread.name.startswith("fluxqueue-task-") and thread.name != "fluxqueue-task-1":
        if os.path.exists("full"):
            raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = start_if_there_is_room

@fluxqueue.task()
def quick():
    pass

@fluxqueue.task()
def hold():
    note("begun")
    while not os.path.exists("open"):
        time.sleep(0.01)
"""


def test_a_shortage_of_threads_takes_no_slot_forever(tmp_path: Path, redis_url: str) -> None:
    client = FluxQueue(redis_url)

    def hold() -> None: ...
    def quick() -> None: ...

    hold_task, quick_task = client.task()(hold), client.task()(quick)
    (tmp_path / "full").touch()
    with WorkerProcess(tmp_path, redis_url, APP, concurrency=4) as worker:
        for _ in range(20):
            quick_task()
        for _ in range(4):
            hold_task()
        # The one thread is in a task that does not end meanwhile.
        wait_until(lambda: worker.notes() == ["begun"], what=worker.output)
        worker.wait_for("worker.no_thread", threads=1)
        (tmp_path / "full").unlink()
        wait_until(lambda: worker.notes() == ["begun"] * 4, what=worker.output)
        # It was not tried at every task.
        assert len(worker.named("worker.no_thread")) <= 3
        (tmp_path / "open").touch()
        assert worker.stop() == 0
