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
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.dev_command import dev, lines_until, ready, rest
from support.private_network import in_network_of, listening, redis_in
from support.waiting import wait_until

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


def test_with_reload_the_worker_has_the_changed_code(tmp_path: Path, network: int) -> None:
    """With the real worker and scheduler. A module that can't be imported does not end dev."""
    app = tmp_path / "app.py"
    app.write_text("def broken(:\n")
    with dev(tmp_path, "-t", "app", "--reload", network=network) as process:
        lines_until(process, "SyntaxError", "reload.worker_ended")
        app.write_text(APP.format(url=""))
        lines_until(process, "reload.changed", "worker.connected")
        process.send_signal(signal.SIGINT)
        rest(process)
        assert process.returncode == 0


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
    dev_folder: Path, network: int, options: list[str], variables: dict[str, str], log_format: str
) -> None:
    variables = {**variables, "TELL_FORMAT": "1"}
    with dev(dev_folder, "-t", "app", *options, network=network, **variables) as process:
        lines_until(
            process, f"fluxqueue_worker logs {log_format}", f"fluxqueue_scheduler logs {log_format}"
        )
        process.send_signal(signal.SIGINT)
        rest(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_stops_the_worker_then_the_scheduler_then_redis(
    dev_folder: Path, network: int, number: int
) -> None:
    options = ["-t", "myapp.tasks", "-c", "8", "-q", "a,b", "--log-level", "debug"]
    with dev(dev_folder, *options, network=network) as process:
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
    with listening(network, *redis_in(dev_folder)):
        pass  # the port is free again
    assert (dev_folder / ".fluxqueue" / "redis" / "appendonlydir").exists()


@pytest.mark.parametrize("arguments", [["-q", "a"], []])
def test_the_worker_serves_all_queues_unless_some_are_named(
    dev_folder: Path, network: int, arguments: list[str]
) -> None:
    with dev(dev_folder, "-t", "one", "-t", "two", *arguments, network=network) as process:
        _, _, *words = ready(process)["fluxqueue_worker"]
        assert words == ["-t", "one", "-t", "two", "-q", "a" if arguments else "*"]
        process.terminate()
        rest(process)
    with dev(dev_folder, *arguments, network=network, FLUXQUEUE_QUEUE="b") as process:
        assert ready(process)["fluxqueue_worker"][2:] == arguments
        process.terminate()
        rest(process)


def test_a_wrong_module_ends_it_before_anything_starts(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, "usage", network=network) as process:
        assert rest(process) == ["fluxqueue dev: wrong"]
        assert process.returncode == 2
    assert not (dev_folder / ".fluxqueue").exists()


def test_a_second_signal_reaches_the_worker(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, "linger", network=network) as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        lines_until(process, "fluxqueue_worker lingers")
        process.send_signal(signal.SIGINT)
        assert "fluxqueue_worker ended +PONG" in rest(process)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "code"), [(["exit"], 5), (["kill"], 1)], ids=["exits", "is killed"]
)
def test_a_worker_that_ends_stops_the_rest(
    dev_folder: Path, network: int, options: list[str], code: int
) -> None:
    with dev(dev_folder, *options, network=network) as process:
        if options == ["kill"]:
            found = ready(process)
            os.kill(int(found["fluxqueue_worker"][0]), signal.SIGKILL)
        said = rest(process)
        how = "exit code 5" if code == 5 else "signal SIGKILL"
        assert f"fluxqueue dev: worker has ended ({how}); stopping the rest" in said
        assert process.returncode == code


def test_a_scheduler_that_ends_stops_the_rest(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, network=network) as process:
        found = ready(process)
        os.kill(int(found["fluxqueue_scheduler"][0]), signal.SIGKILL)
        said = rest(process)
        assert said[0] == ("fluxqueue dev: scheduler has ended (signal SIGKILL); stopping the rest")
        assert "fluxqueue_worker ended +PONG" in said
        assert process.returncode == 1


def test_a_killed_dev_leaves_no_process(dev_folder: Path, network: int) -> None:
    with dev(dev_folder, network=network) as process:
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
def test_a_wrong_use_is_one_line(
    dev_folder: Path, network: int, options: list[str], said: str
) -> None:
    with dev(dev_folder, *options, network=network) as process:
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
