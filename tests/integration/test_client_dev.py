"""`fluxqueue dev` with stand-ins for worker and scheduler: the parts that it starts, the
order in which it stops them, and its output.

Each test has its own network, in which it decides what listens at port 6379.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.private_network import in_network_of, listening, redis_in
from support.waiting import wait_until

# Says when it is ready and when it ends; `linger` wants a second SIGTERM.
STAND_IN = """
import os, signal, socket, sys, urllib.parse

telling = [word for word in sys.argv if word.startswith("--tell-redis=")]
if telling:
    if "exit" in sys.argv:
        sys.exit(3)
    if "usage" in sys.argv:
        print("fluxqueue-worker: wrong", file=sys.stderr)
        sys.exit(2)
    os.write(int(telling[0].partition("=")[2]), os.environ.get("URL_IN_CODE", "").encode())
    sys.exit(0)

def say(*words):
    # In one write: two processes share the pipe.
    os.write(1, (" ".join([__package__, *words]) + "\\n").encode())

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
say("ready", str(os.getpid()), os.environ["FLUXQUEUE_REDIS_URL"], *sys.argv[1:])
if "TELL_FORMAT" in os.environ:
    say("logs", os.environ["FLUXQUEUE_LOG_FORMAT"])
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

fluxqueue = FluxQueue({url})
failures = Path("failures")

@fluxqueue.task(retry_delay=0.01, queue="other")
def flaky(text):
    if not failures.exists():
        failures.touch()
        raise RuntimeError("the first time")
    again(text)

@fluxqueue.task()
def again(text):
    Path("done.part").write_text(text)
    Path("done.part").rename("done")
"""


@contextlib.contextmanager
def dev(
    folder: Path, *options: str, network: int, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    inherited = os.environ.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join([str(folder / "packages"), inherited])
    process = subprocess.Popen(
        in_network_of(network, [sys.executable, "-m", "fluxqueue", "dev", *options]),
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


@pytest.mark.parametrize("url", ["", "'redis://127.0.0.1:6379'"])
@pytest.mark.parametrize("redis_runs", [True, False])
def test_all_queues_of_the_module_are_served(
    tmp_path: Path, network: int, url: str, redis_runs: bool
) -> None:
    """With the real worker and scheduler. Neither dev nor the application has options."""
    (tmp_path / "app.py").write_text(APP.format(url=url))
    run_a_retry(tmp_path, network, redis_runs)


@pytest.mark.parametrize("by", ["code", "flag"])
def test_worker_and_scheduler_have_the_namespace_of_the_application(
    tmp_path: Path, network: int, by: str
) -> None:
    """Only the scheduler of that namespace moves the retry."""
    (tmp_path / "app.py").write_text(APP.format(url="namespace='shop'" if by == "code" else ""))
    if by == "code":
        run_a_retry(tmp_path, network, redis_runs=False)
    else:
        options = ["--namespace", "shop", "-r", "redis://127.0.0.1:6379"]
        run_a_retry(tmp_path, network, False, *options, FLUXQUEUE_NAMESPACE="shop")


def run_a_retry(
    tmp_path: Path, network: int, redis_runs: bool, *options: str, **of_application: str
) -> None:
    """Runs `APP` with the options of dev and the variables of the application."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    variables |= of_application
    with contextlib.ExitStack() as stack:
        if redis_runs:
            stack.enter_context(listening(network, *redis_in(tmp_path)))
        started = dev(tmp_path, "-t", "app", "-c", "1", *options, network=network)
        process = stack.enter_context(started)
        start = "using the Redis that runs at" if redis_runs else "Redis runs at"
        lines_until(process, f"{start} redis://127.0.0.1:6379", "worker.connected")
        enqueue = [sys.executable, "-c", "import app; app.flaky('tried again')"]
        subprocess.run(in_network_of(network, enqueue), cwd=tmp_path, env=variables, check=True)
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
        assert (tmp_path / ".fluxqueue").exists() is not redis_runs


@pytest.mark.parametrize(
    ("options", "variables", "log_format"),
    [
        ([], {}, "console"),
        (["--log-format", "auto"], {}, "console"),
        (["--log-format", "json"], {"FLUXQUEUE_LOG_FORMAT": "console"}, "json"),
        ([], {"FLUXQUEUE_LOG_FORMAT": "json"}, "json"),
    ],
)
def test_the_log_is_text_in_a_pipe_too(
    folder: Path, network: int, options: list[str], variables: dict[str, str], log_format: str
) -> None:
    variables = {**variables, "TELL_FORMAT": "1"}
    with dev(folder, "-t", "app", *options, network=network, **variables) as process:
        lines_until(
            process, f"fluxqueue_worker logs {log_format}", f"fluxqueue_scheduler logs {log_format}"
        )
        process.send_signal(signal.SIGINT)
        rest(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_worker_then_scheduler_then_redis(folder: Path, network: int, number: int) -> None:
    options = ["-t", "myapp.tasks", "-c", "8", "-q", "a,b", "--log-level", "debug"]
    with dev(folder, *options, network=network) as process:
        found = ready(process)
        _, url, *arguments = found["fluxqueue_worker"]
        assert sorted(arguments) == sorted(options)
        assert url == "redis://127.0.0.1:6379/0"
        assert found["fluxqueue_scheduler"][1:] == [url]
        process.send_signal(number)
        said = rest(process)
        assert said == [
            "fluxqueue dev: stopping",
            "fluxqueue_worker ended +PONG",
            "fluxqueue_scheduler ended +PONG",
        ]
        assert process.returncode == 0
    with listening(network, *redis_in(folder)):
        pass  # the port is free again
    assert (folder / ".fluxqueue" / "redis" / "appendonlydir").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--requirepass", "geheim"], "it wants a password; put that into the URL"),
        (["--replicaof", "127.0.0.1 1"], "it is a replica, which takes no tasks"),
        (["--cluster-enabled", "yes"], "write redis+cluster://127.0.0.1:6379"),
    ],
)
def test_it_says_why_it_can_not_use_a_redis(
    folder: Path, network: int, options: list[str], reason: str
) -> None:
    with listening(network, *redis_in(folder, *options)), dev(folder, network=network) as process:
        [line] = rest(process)
        assert line.startswith("fluxqueue dev: can't use what listens at redis://127.0.0.1:6379/0")
        assert reason in line
        assert process.returncode == 2


OTHER_SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 6379))
while True:
    connection, _ = server.accept()
    connection.sendall({reply!r})
    {then}
"""


@pytest.mark.parametrize(
    ("reply", "then", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "connection.close()", "it is not a Redis; stop"),
        (b"", "connection.close()", "it does not answer like a Redis without TLS; stop it"),
        (b"", "kept = connection", "it does not answer like a Redis without TLS; stop it"),
        (b"-DENIED protected\r\n", "connection.close()", "it answers 'DENIED protected'; stop"),
    ],
)
def test_it_says_what_else_listens_there(
    folder: Path, network: int, reply: bytes, then: str, reason: str
) -> None:
    source = OTHER_SERVER.format(reply=reply, then=then)
    with (
        listening(network, sys.executable, "-c", source),
        dev(folder, network=network) as process,
    ):
        [line] = rest(process)
        assert reason in line
        # The remedy: another port, at which it starts a Redis.
        variable = line.rpartition("export ")[2]
        assert variable == "FLUXQUEUE_REDIS_URL=redis://127.0.0.1:6380"
        assert process.returncode == 2
    name, _, url = variable.partition("=")
    with dev(folder, network=network, **{name: url}) as process:
        found = ready(process)
        assert found["fluxqueue_worker"][1] == url
        assert any(f"Redis runs at {url}, its data in" in line for line in found["said"])
        process.terminate()
        rest(process)


@pytest.mark.parametrize("arguments", [["-q", "a"], []])
def test_the_worker_serves_all_queues_unless_some_are_named(
    folder: Path, network: int, arguments: list[str]
) -> None:
    with dev(folder, "-t", "one", "-t", "two", *arguments, network=network) as process:
        _, _, *words = ready(process)["fluxqueue_worker"]
        assert words == ["-t", "one", "-t", "two", "-q", "a" if arguments else "*"]
        process.terminate()
        rest(process)
    with dev(folder, *arguments, network=network, FLUXQUEUE_QUEUE="b") as process:
        assert ready(process)["fluxqueue_worker"][2:] == arguments
        process.terminate()
        rest(process)


def test_the_url_in_the_code_is_used(folder: Path, network: int) -> None:
    url = "redis://127.0.0.1:7000/3?timeout=2"
    with dev(folder, network=network, URL_IN_CODE=url) as process:
        found = ready(process)
        assert found["fluxqueue_worker"][1] == found["fluxqueue_scheduler"][1] == url
        assert any("Redis runs at redis://127.0.0.1:7000" in line for line in found["said"])
        process.terminate()
        rest(process)
    # On another machine it starts none.
    with dev(folder, network=network, URL_IN_CODE="redis://u:geheim@h:1") as process:
        said = lines_until(process, "using the Redis at redis://h:1/0")
        assert "geheim" not in "".join(line for line in said if "ready" not in line)


def test_a_wrong_module_ends_it_before_anything_starts(folder: Path, network: int) -> None:
    with dev(folder, "usage", network=network) as process:
        assert rest(process) == ["fluxqueue dev: wrong"]
        assert process.returncode == 2
    assert not (folder / ".fluxqueue").exists()


def test_a_second_signal_reaches_the_worker(folder: Path, network: int) -> None:
    with dev(folder, "linger", network=network) as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        lines_until(process, "fluxqueue_worker lingers")
        process.send_signal(signal.SIGINT)
        assert "fluxqueue_worker ended +PONG" in rest(process)
        assert process.returncode == 0


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_url_that_is_given_is_used_and_its_redis_is_left_alone(
    folder: Path, network: int, how: str
) -> None:
    url = "redis://127.0.0.1:6379/7"
    options = ["-r", url] if how == "flag" else []
    variables = {} if how == "flag" else {"FLUXQUEUE_REDIS_URL": url}
    # A URL that is given is the one to use: dev need not know the one in the code.
    variables["URL_IN_CODE"] = "redis://127.0.0.1:7000"
    with listening(network, *redis_in(folder)) as server:
        with dev(folder, *options, network=network, **variables) as process:
            found = ready(process)
            assert found["fluxqueue_worker"][1] == url
            told = [line for line in found["said"] if f"export FLUXQUEUE_REDIS_URL={url}" in line]
            assert len(told) == (how == "flag")
            process.terminate()
            rest(process)
        assert server.poll() is None
    assert not (folder / ".fluxqueue").exists()


@pytest.mark.parametrize(
    ("options", "code"), [(["exit"], 5), (["kill"], 1)], ids=["exits", "is killed"]
)
def test_a_worker_that_ends_stops_the_rest(
    folder: Path, network: int, options: list[str], code: int
) -> None:
    with dev(folder, *options, network=network) as process:
        if options == ["kill"]:
            found = ready(process)
            os.kill(int(found["fluxqueue_worker"][0]), signal.SIGKILL)
        said = rest(process)
        how = "exit code 5" if code == 5 else "signal SIGKILL"
        assert f"fluxqueue dev: worker has ended ({how}); stopping the rest" in said
        assert process.returncode == code


def test_a_scheduler_that_ends_stops_the_rest(folder: Path, network: int) -> None:
    with dev(folder, network=network) as process:
        found = ready(process)
        os.kill(int(found["fluxqueue_scheduler"][0]), signal.SIGKILL)
        said = rest(process)
        assert said[0] == ("fluxqueue dev: scheduler has ended (signal SIGKILL); stopping the rest")
        assert "fluxqueue_worker ended +PONG" in said
        assert process.returncode == 1


def test_nothing_is_left_when_it_is_killed(folder: Path, network: int) -> None:
    with dev(folder, network=network) as process:
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
def test_a_wrong_use_is_one_line(folder: Path, network: int, options: list[str], said: str) -> None:
    with dev(folder, *options, network=network) as process:
        [line] = rest(process)
        assert line.startswith(said)
        assert process.returncode == 2


def test_a_missing_package_is_one_line(monkeypatch: Any, capsys: Any) -> None:
    from fluxqueue import dev as module

    monkeypatch.setattr(module, "_is_installed", lambda name: name != "fluxqueue_worker")
    with pytest.raises(SystemExit) as caught:
        module.main(["-t", "x"])
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fluxqueue dev: needs fluxqueue-worker, not installed; run `scripts/")


def test_two_share_the_redis_that_the_first_has_started(folder: Path, network: int) -> None:
    with dev(folder, network=network) as process:
        first = ready(process)
        with dev(folder, network=network) as second:
            found = ready(second)
            assert found["fluxqueue_worker"][1] == first["fluxqueue_worker"][1]
            assert any("using the Redis that runs at" in line for line in found["said"])
            second.terminate()
            rest(second)
        process.terminate()
        rest(process)
