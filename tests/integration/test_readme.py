"""The example in README.md, unchanged: its program enqueues tasks, and a worker runs them."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.logging_process import LoggingProcess
from support.private_network import in_network_of, listening, redis_in

PAGE = (Path(__file__).parents[2] / "README.md").read_text()
# The tasks that its program enqueues.
TASKS = ["charge"] * 2 + ["report"] + ["send_email"] * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the example."""
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block)
    return tmp_path


def test_the_example_runs(folder: Path, redis_url: str) -> None:
    environment = os.environ | {"FLUXQUEUE_REDIS_URL": redis_url}
    command = [sys.executable, "shop.py"]
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "to ada@example.com: Welcome\n"  # the one that it runs itself
    line = re.search(r"^\$ fluxqueue start -t (\S+) -q (\S+)", PAGE, re.MULTILINE)
    assert line
    options = {"tasks-module-path": line[1], "queue": line[2]}
    with LoggingProcess(folder, redis_url, "fluxqueue_worker", options) as worker:
        worker.wait_for("task.done", count=len(TASKS))
        done = sorted(entry["name"] for entry in worker.named("task.done"))
        assert done == TASKS
        assert worker.stop() == 0


@pytest.mark.parametrize("redis_runs", [True, False])
def test_dev_runs_all_tasks_of_the_example(folder: Path, network: int, redis_runs: bool) -> None:
    """Its commands as they are, on a machine with and without a Redis at port 6379."""
    commands = re.search(r"^\$ (fluxqueue dev .*?) +#.*\n\$ (python \S+)", PAGE, re.MULTILINE)
    assert commands
    dev, program = (shlex.split(command) for command in commands.groups())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    environment |= {"FLUXQUEUE_LOG_FORMAT": "json"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with contextlib.ExitStack() as stack:
        if redis_runs:
            stack.enter_context(listening(network, *redis_in(folder)))
        running = stack.enter_context(
            subprocess.Popen(
                in_network_of(network, dev),
                cwd=folder, env=environment, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        stack.callback(running.kill)
        assert running.stderr is not None
        lines: list[str] = []
        done: list[str] = []
        while len(done) < len(TASKS):
            line = running.stderr.readline()
            assert line, lines
            lines.append(line)
            done += re.findall('"event": *"task.done".*?"name": *"(.*?)"', line)
            if "worker.started" in line:
                ran = subprocess.run(
                    in_network_of(network, program),
                    cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
                )  # fmt: skip
                assert ran.returncode == 0, ran.stderr
        assert sorted(done) == TASKS
        assert any("using the Redis that runs" in line for line in lines) is redis_runs
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert running.returncode == 0
