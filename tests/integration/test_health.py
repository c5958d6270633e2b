"""The health of real processes: in order, without Redis, while they drain."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from support.logging_process import LoggingProcess
from support.ports import free_port
from support.probing import get, reasons
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

APP = """
from pathlib import Path

@fluxqueue.task()
def wait_for_file(name):
    note("begun")
    while not Path(name).exists():
        time.sleep(0.01)
    note("ended")
"""

Start = Callable[..., LoggingProcess]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis of the test's own, which it may stop."""
    with EmbeddedRedis(tmp_path / "redis", appendfsync="no") as server:
        yield server


def start_worker(folder: Path, url: str, **options: Any) -> LoggingProcess:
    return WorkerProcess(folder, url, APP, **options)


def start_scheduler(folder: Path, url: str, **options: Any) -> LoggingProcess:
    return SchedulerProcess(folder, url, **options)


both = pytest.mark.parametrize("start", [start_worker, start_scheduler])


def wait_until_ready(port: int) -> None:
    wait_until(
        lambda: reasons(port, "/readyz") == [], what=lambda: f"ready: {get(port, '/readyz')}"
    )


def wait_until_without_redis(port: int) -> None:
    """Not ready because of Redis, but live."""

    def without() -> bool:
        return any("Redis" in reason for reason in reasons(port, "/readyz") or ())

    wait_until(without, what=lambda: f"without Redis: {get(port, '/readyz')}")
    assert reasons(port, "/livez") == []


@both
def test_live_all_the_time_and_ready_only_with_redis(
    start: Start, server: EmbeddedRedis, tmp_path: Path
) -> None:
    port = free_port()
    with start(tmp_path, server.url, lease=2, health_port=port) as process:
        wait_until_ready(port)
        assert get(port, "/metrics")[0] == 404
        os.kill(server.pid, signal.SIGSTOP)
        try:
            wait_until_without_redis(port)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        wait_until_ready(port)
        server.kill()
        wait_until_without_redis(port)
        server.start()
        wait_until_ready(port)
        assert process.stop() == 0
    assert reasons(port, "/livez") is None


@both
def test_live_and_not_ready_where_redis_never_was(start: Start, tmp_path: Path) -> None:
    port = free_port()
    nowhere = f"redis://127.0.0.1:{free_port()}"
    with start(tmp_path, nowhere, lease=2, health_port=port) as process:
        wait_until_without_redis(port)
        assert process.stop() == 0


def test_a_worker_that_drains_is_live_and_not_ready(server: EmbeddedRedis, tmp_path: Path) -> None:
    port = free_port()
    with WorkerProcess(tmp_path, server.url, APP, health_port=port) as worker:
        wait_until_ready(port)
        enqueue(server.url, str(tmp_path / "go"))
        wait_until(lambda: worker.notes() == ["begun"], what="the task's beginning")
        worker.signal(signal.SIGTERM)
        worker.wait_for("worker.draining")
        wait_until(lambda: reasons(port, "/readyz") == ["the worker drains"], what="not ready")
        assert reasons(port, "/livez") == []
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert worker.notes() == ["begun", "ended"]


def enqueue(url: str, name: str) -> None:
    from fluxqueue import FluxQueue

    queue = FluxQueue(url)

    @queue.task()
    def wait_for_file(name: str) -> None: ...

    wait_for_file(name)
    queue.close()


@both
def test_without_a_port_there_is_no_endpoint(start: Start, redis_url: str, tmp_path: Path) -> None:
    with start(tmp_path, redis_url) as process:
        process.wait_for("worker.connected" if start is start_worker else "scheduler.started")
        assert listening_ports(process.pid) == set()
        assert process.stop() == 0


STUCK = """
import signal
from pathlib import Path

def on_signal(number, frame):
    note("handling")
    while not Path("go").exists():
        time.sleep(0.01)

signal.signal(signal.SIGUSR1, on_signal)

@fluxqueue.task()
def wait_for_file(name):
    note("done")
"""


def test_a_worker_whose_main_loop_is_held_up_is_stuck(
    server: EmbeddedRedis, tmp_path: Path
) -> None:
    """By a signal handler of the application's, which runs in the main thread."""
    port = free_port()
    with WorkerProcess(tmp_path, server.url, STUCK, lease=2, health_port=port) as worker:
        wait_until_ready(port)
        worker.signal(signal.SIGUSR1)
        wait_until(lambda: worker.notes() == ["handling"], what="the handler")
        why = wait_until(lambda: reasons(port, "/livez"), what="stuck")
        assert why is not None and why[0].startswith("the main loop has not gone round for ")
        # The lease is renewed elsewhere, and tasks run.
        enqueue(server.url, "any")
        wait_until(lambda: "done" in worker.notes(), what="a task")
        (tmp_path / "go").touch()
        wait_until_ready(port)
        assert worker.stop() == 0


def listening_ports(pid: int) -> set[int]:
    import psutil

    connections = psutil.Process(pid).net_connections("tcp")
    return {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}


@both
def test_a_taken_port_is_one_line(start: Start, redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    with start(tmp_path, redis_url, health_port=port):
        wait_until_ready(port)
        with start(tmp_path, redis_url, health_port=port) as second:
            assert second.wait() == 2
            (line,) = second.other_output
            assert f"port {port}" in line and "--health-port" in line
