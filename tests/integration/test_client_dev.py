"""`fluxqueue dev` with stand-ins for worker and scheduler: the parts that it starts, the
order in which it stops them, and its output."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fluxqueue.embedded import EmbeddedRedis
from support.waiting import wait_until

# Port 6379 of the machine is theirs, one after the other.
pytestmark = pytest.mark.xdist_group("dev")

# Says when it is ready and when it ends; `linger` wants a second SIGTERM.
STAND_IN = """
import os, signal, socket, sys, urllib.parse

def say(*words):
    # In one write: two processes share the pipe.
    os.write(1, (" ".join([__package__, *words]) + "\\n").encode())

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
say("ready", str(os.getpid()), os.environ["FLUXQUEUE_REDIS_URL"], *sys.argv[1:])
if "exit" in sys.argv:
    sys.exit(5)
signal.sigwait([signal.SIGTERM])
if "linger" in sys.argv:
    say("lingers")
    signal.sigwait([signal.SIGTERM])
url = urllib.parse.urlsplit(os.environ["FLUXQUEUE_REDIS_URL"])
with socket.create_connection((url.hostname, url.port)) as redis:
    redis.sendall(b"PING\\r\\n")
    say("ended", redis.recv(7).decode().strip())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory from which Python imports the stand-ins first."""
    for name in ("fluxqueue_worker", "fluxqueue_scheduler"):
        package = tmp_path / "packages" / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(STAND_IN)
    return tmp_path


APP = """
from pathlib import Path
from fluxqueue import FluxQueue

fluxqueue = FluxQueue(None)
failures = Path("failures")

@fluxqueue.task(retry_delay=0.01)
def flaky(text):
    if not failures.exists():
        failures.touch()
        raise RuntimeError("the first time")
    Path("done.part").write_text(text)
    Path("done.part").rename("done")
"""


@contextlib.contextmanager
def dev(folder: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    inherited = os.environ.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join([str(folder / "packages"), inherited])
    process = subprocess.Popen(
        [sys.executable, "-m", "fluxqueue", "dev", *options],
        cwd=folder,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], *wanted: str) -> list[str]:
    """Reads lines until every wanted text has been in one."""
    missing = set(wanted)
    lines: list[str] = []
    assert process.stdout is not None
    while missing:
        line = process.stdout.readline()
        assert line, f"ended without {missing}; said {lines}"
        lines.append(line.rstrip())
        missing = {text for text in missing if text not in line}
    return lines


def ready(process: subprocess.Popen[str]) -> dict[str, list[str]]:
    """Returns the words of each stand-in's first line: pid, URL, arguments."""
    lines = lines_until(process, "fluxqueue_worker ready", "fluxqueue_scheduler ready")
    words = [line.split() for line in lines]
    found = {line[0]: line[2:] for line in words if line[1:2] == ["ready"]}
    found["said"] = lines
    return found


def rest(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=30)
    return output.splitlines()


def test_a_task_runs_and_is_tried_again(tmp_path: Path) -> None:
    """With the real worker and scheduler."""
    (tmp_path / "app.py").write_text(APP)
    with dev(tmp_path, "-t", "app", "-c", "1") as process:
        [line] = [line for line in lines_until(process, "Redis runs on") if "runs on" in line]
        url = line.partition(" runs on ")[2].partition(",")[0]
        enqueue = "import app; app.flaky('tried again')"
        variables = {**os.environ, "FLUXQUEUE_REDIS_URL": url}
        subprocess.run([sys.executable, "-c", enqueue], cwd=tmp_path, env=variables, check=True)
        done = tmp_path / "done"

        def ran() -> bool:
            assert process.poll() is None, rest(process)
            return done.exists()

        wait_until(ran, what="the second attempt")
        assert done.read_text() == "tried again"
        process.send_signal(signal.SIGINT)
        said = rest(process)
        assert "fluxqueue dev: stopping" in said
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_worker_then_scheduler_then_redis(folder: Path, number: int) -> None:
    options = ["-t", "myapp.tasks", "-c", "8", "-q", "a,b", "--log-level", "debug"]
    with dev(folder, *options) as process:
        found = ready(process)
        _, url, *arguments = found["fluxqueue_worker"]
        assert sorted(arguments) == sorted(options)
        assert found["fluxqueue_scheduler"][1:] == [url]
        process.send_signal(number)
        said = rest(process)
        assert said == [
            "fluxqueue dev: stopping",
            "fluxqueue_worker ended +PONG",
            "fluxqueue_scheduler ended +PONG",
        ]
        assert process.returncode == 0
    port = int(url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert (folder / ".fluxqueue" / "redis" / "appendonlydir").exists()


def test_for_a_taken_port_the_output_names_the_variable_to_export(folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # another process has it already, which is as good
            stack.enter_context(socket.create_server(("127.0.0.1", 6379)))
        with dev(folder) as process:
            found = ready(process)
            url = found["fluxqueue_worker"][1]
            assert not url.endswith(":6379")
            [told] = [line for line in found["said"] if "export" in line]
            assert told.endswith(f"export FLUXQUEUE_REDIS_URL={url}")
            process.terminate()
            rest(process)


def test_a_second_signal_reaches_the_worker(folder: Path) -> None:
    with dev(folder, "linger") as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        lines_until(process, "fluxqueue_worker lingers")
        process.send_signal(signal.SIGINT)
        assert "fluxqueue_worker ended +PONG" in rest(process)
        assert process.returncode == 0


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_url_that_is_given_is_used_and_its_redis_is_left_alone(folder: Path, how: str) -> None:
    with EmbeddedRedis() as server:
        options = ["-r", server.url] if how == "flag" else []
        variables = {} if how == "flag" else {"FLUXQUEUE_REDIS_URL": server.url}
        with dev(folder, *options, **variables) as process:
            found = ready(process)
            assert found["fluxqueue_worker"][1] == server.url
            process.terminate()
            rest(process)
        assert psutil.pid_exists(server.pid)
    assert not (folder / ".fluxqueue").exists()


@pytest.mark.parametrize(
    ("options", "code"), [(["exit"], 5), (["kill"], 1)], ids=["exits", "is killed"]
)
def test_a_worker_that_ends_stops_the_rest(folder: Path, options: list[str], code: int) -> None:
    with dev(folder, *options) as process:
        if options == ["kill"]:
            found = ready(process)
            os.kill(int(found["fluxqueue_worker"][0]), signal.SIGKILL)
        said = rest(process)
        how = "exit code 5" if code == 5 else "signal SIGKILL"
        assert f"fluxqueue dev: worker has ended ({how}); stopping the rest" in said
        assert process.returncode == code


def test_a_scheduler_that_ends_stops_the_rest(folder: Path) -> None:
    with dev(folder) as process:
        found = ready(process)
        os.kill(int(found["fluxqueue_scheduler"][0]), signal.SIGKILL)
        said = rest(process)
        assert said[0] == ("fluxqueue dev: scheduler has ended (signal SIGKILL); stopping the rest")
        assert "fluxqueue_worker ended +PONG" in said
        assert process.returncode == 1


def test_nothing_is_left_when_it_is_killed(folder: Path) -> None:
    with dev(folder) as process:
        found = ready(process)
        parts = [psutil.Process(int(found[f"fluxqueue_{n}"][0])) for n in ("worker", "scheduler")]
        parts += [p for p in psutil.Process(process.pid).children() if p not in parts]
        assert len(parts) == 3
        process.kill()
        _, alive = psutil.wait_procs(parts, timeout=20)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-r", "http://x"], "fluxqueue dev: the Redis URL begins with http://"),
        (["-c"], "fluxqueue dev: "),
    ],
)
def test_a_wrong_use_is_one_line(folder: Path, options: list[str], said: str) -> None:
    with dev(folder, *options) as process:
        [line] = rest(process)
        assert line.startswith(said)
        assert process.returncode == 2


def test_a_missing_package_is_one_line(monkeypatch: Any, capsys: Any) -> None:
    from fluxqueue import dev as module

    monkeypatch.setattr(module, "_is_installed", lambda name: name != "fluxqueue_worker")
    with pytest.raises(SystemExit) as caught:
        module.main(["-t", "x"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == (
        "fluxqueue dev: needs fluxqueue-worker, not installed; run `pip install fluxqueue-worker`\n"
    )


def test_two_in_one_folder_do_not_share_the_data(folder: Path) -> None:
    with dev(folder) as process:
        ready(process)
        with dev(folder) as second:
            [line] = rest(second)
            assert "another redis-server uses the folder" in line
            assert second.returncode == 2
        process.terminate()
        rest(process)
