"""The example in README.md, unchanged: its program enqueues tasks, and a worker runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.logging_process import LoggingProcess

PAGE = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the example, which use the Redis of FLUXQUEUE_REDIS_URL."""
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block.replace("= FluxQueue()", "= FluxQueue(None)"))
    return tmp_path


def test_the_example_runs(folder: Path, redis_url: str) -> None:
    assert "FluxQueue(None)" in (folder / "shop_tasks.py").read_text()
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
        worker.wait_for("task.done", count=7)
        done = sorted(entry["name"] for entry in worker.named("task.done"))
        assert done == ["charge"] * 2 + ["report"] + ["send_email"] * 4
        assert worker.stop() == 0
