"""The examples of docs/results.md and docs/progress.md, unchanged: a worker runs the tasks of one
file, and the program in the other uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.logging_process import LoggingProcess

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "module", "last_line"),
    [
        ("results.md", "resizing", "[640, 480] [[640, 480], [640, 480]]"),
        ("progress.md", "importing", "2"),
    ],
)
def test_the_example_runs(
    tmp_path: Path, redis_url: str, page: str, module: str, last_line: str
) -> None:
    text = (DOCS / page).read_text()
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        name = re.match(r"# (\w+\.py)", block)
        assert name, block
        (tmp_path / name[1]).write_text(block)
    options = {"tasks-module-path": module}
    with LoggingProcess(tmp_path, redis_url, "fluxqueue_worker", options) as worker:
        worker.wait_for("worker.connected")
        ran = subprocess.run(
            [sys.executable, "app.py"],
            cwd=tmp_path, env=os.environ | {"FLUXQUEUE_REDIS_URL": redis_url},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.splitlines()[-1] == last_line
        assert worker.stop() == 0
