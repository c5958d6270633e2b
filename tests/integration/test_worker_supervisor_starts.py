"""Worker processes that don't come up: the first one ends its supervisor, a later
one is tried again after growing pauses."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from support.worker_process import WorkerProcess

APP = """
@fluxqueue.task()
def nothing():
    pass
"""


def first_of_two(worker: WorkerProcess) -> int:
    """Its pid, when both are connected."""
    worker.wait_for("worker.connected", count=2)
    pid: int = worker.named("worker.started")[0]["pid"]
    return pid


def test_a_loop_of_crashes_backs_off(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2) as worker:
        first = first_of_two(worker)
        # From now on no process can begin.
        (tmp_path / "app.py").write_text("raise SystemExit(7)")
        os.kill(first, signal.SIGKILL)
        worker.wait_for("process.died", count=4)
        pauses = [line["restart_in"] for line in worker.named("process.died")]
        assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
        assert {line["code"] for line in worker.named("process.died")[1:]} == {7}
        # The other one works on.
        assert worker.process.poll() is None
        assert worker.stop() == 0


def test_a_process_that_ends_well_before_it_is_up_backs_off(tmp_path: Path, redis_url: str) -> None:
    with WorkerProcess(tmp_path, redis_url, APP, processes=2) as worker:
        first = first_of_two(worker)
        (tmp_path / "app.py").write_text("import os; os._exit(0)")
        os.kill(first, signal.SIGKILL)
        worker.wait_for("process.died", count=4)
        died = worker.named("process.died")
        assert [line["restart_in"] for line in died[:4]] == [0.5, 1.0, 2.0, 4.0]
        assert [line["code"] for line in died[1:4]] == [0] * 3
        assert worker.named("process.ended") == []
        assert worker.stop() == 0


def test_the_first_process_ends_well_before_it_is_up(tmp_path: Path, redis_url: str) -> None:
    app = "note('begun'); os._exit(0)"
    with WorkerProcess(tmp_path, redis_url, app, processes=4) as worker:
        assert worker.wait() == 1
    assert worker.notes() == ["begun"]
    (died,) = worker.named("process.died")
    assert died["code"] == 0
    assert "ended with exit code 0 before it could take tasks" in died["error"]


@pytest.mark.parametrize("options", [{}, {"processes": 4}])
@pytest.mark.parametrize("code", ["", "0"])
def test_a_module_that_exits_is_not_a_success(
    tmp_path: Path, redis_url: str, options: dict[str, Any], code: str
) -> None:
    app = f"import sys; note('begun'); sys.exit({code})"
    with WorkerProcess(tmp_path, redis_url, app, **options) as worker:
        assert worker.wait() == 2
    assert worker.notes() == ["begun"]
    (said,) = worker.other_output
    assert "importing 'app' calls sys.exit()" in said


@pytest.mark.parametrize(
    ("app", "options", "code", "text"),
    [
        ("", {}, 2, "it has no tasks at all"),
        ("raise RuntimeError('mine')", {}, 1, "RuntimeError: mine"),
        (APP, {"redis-url": "redis://host:port"}, 2, "port"),
        (APP, {"max_rss": 5}, 2, "--max-rss 5: the worker has "),
    ],
)
def test_a_wrong_configuration_is_said_once_and_ends_it(
    tmp_path: Path, redis_url: str, app: str, options: dict[str, Any], code: int, text: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, app, processes=4, **options) as worker:
        assert worker.wait() == code
    said = [line for line in worker.other_output if text in line]
    assert len(said) == 1, worker.output()
    assert worker.named("worker.started") == worker.named("process.died") == []


def test_the_health_port_is_in_use(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with WorkerProcess(tmp_path, redis_url, APP, processes=2, health_port=port) as worker:
            assert worker.wait() == 2
    (line,) = worker.other_output
    assert f"can't listen on 127.0.0.1 port {port}" in line
