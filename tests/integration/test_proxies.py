"""A worker, a scheduler and a client behind a real proxy that closes idle connections."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fluxqueue import FluxQueue
from fluxqueue.child_process import bound_to_parent
from support.ports import free_port
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until, wait_until_past
from support.worker_process import WorkerProcess

IDLE = 6  # seconds
APP = """
@fluxqueue.task(retry_delay=0.05)
def fails_once(number):
    if not os.path.exists(f"failed-{number}"):
        open(f"failed-{number}", "w").close()
        raise ValueError("once")
    note(number)
"""


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def haproxy(folder: Path, to: str) -> Iterator[str]:
    """Starts HAProxy before a server, and gives its address."""
    binary = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None and os.environ.get("CI") != "true":
        pytest.skip("no haproxy on this machine")
    assert binary is not None
    port = free_port()
    address = f"127.0.0.1:{port}"
    (folder / "haproxy.cfg").write_text(
        f"""
defaults
  mode tcp
  timeout connect 2s
  timeout client {IDLE}s
  timeout server {IDLE}s
listen redis
  bind {address}
  server one {to}
"""
    )
    command = [binary, "-db", "-f", str(folder / "haproxy.cfg")]
    process = subprocess.Popen(bound_to_parent(command, signal.SIGKILL), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(port), what="HAProxy's port")
        yield address
    finally:
        process.kill()
        process.wait()


def test_behind_haproxy_no_connection_that_is_used_is_closed(
    tmp_path: Path, redis_url: str
) -> None:
    server, database = redis_url.removeprefix("redis://").split("/")
    with haproxy(tmp_path, server) as address:
        url = f"redis://{address}/{database}"
        app = FluxQueue(url)

        @app.task(retry_delay=0.05)
        def fails_once(number: int) -> None: ...

        # A BLMOVE lasts half the lease: two seconds less than the proxy allows.
        with (
            WorkerProcess(tmp_path, url, APP, lease=IDLE + 2) as worker,
            SchedulerProcess(tmp_path, url, lease=IDLE + 2) as scheduler,
        ):
            wait_until(lambda: worker.named("worker.connected"), what=worker.output)
            fails_once(1)
            wait_until(lambda: worker.notes() == ["1"], what=worker.output)
            wait_until_past(time.monotonic() + 2 * IDLE)
            assert worker.named("worker.disconnected") == []
            # The client's connection was closed meanwhile.
            fails_once(2)
            wait_until(lambda: worker.notes() == ["1", "2"], what=worker.output)
            assert scheduler.named("redis.unavailable") == []
            assert worker.stop() == 0 == scheduler.stop()
        app.close()
