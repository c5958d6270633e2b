"""The examples of pages, as they are printed: those in files, of which a worker runs one and a
program is the other, and those in the text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.logging_process import LoggingProcess

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# A call whose result the page has as a comment.
ANSWERED = re.compile(r"^(fluxqueue\..*?) +# (\"\w+\"|True)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "module", "last_line"),
    [
        ("results.md", "resizing", "[640, 480] [[640, 480], [640, 480]]"),
        ("progress.md", "importing", "2"),
        ("middleware.md", "auditing", "3"),
        ("dependencies.md", "billing", "invoice 17, attempt 1 in session two"),
    ],
)
def test_the_example_runs(
    tmp_path: Path, redis_url: str, page: str, module: str, last_line: str
) -> None:
    text = (DOCS / page).read_text()
    for block in BLOCK.findall(text):
        if name := re.match(r"# (\w+\.py)", block):
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


def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path, redis_url: str) -> None:
    for block in BLOCK.findall((DOCS / "testing.md").read_text()):
        name = re.match(r"# (\w+\.py)", block)
        assert name, block
        (tmp_path / name[1]).write_text(block)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "fluxqueue_worker.pytest_plugin", "."],
        cwd=tmp_path,
        env=os.environ
        | {"FLUXQUEUE_TEST_REDIS_URL": redis_url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "6 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize(
    ("page", "answers"), [("unique.md", 0), ("limits.md", 0), ("periodic.md", 3)]
)
def test_the_examples_in_the_text_run(
    tmp_path: Path, redis_url: str, page: str, answers: int
) -> None:
    blocks = BLOCK.findall((DOCS / page).read_text())
    program, found = ANSWERED.subn(r"assert \1 == \2", "\n".join(blocks))
    assert found == answers and len(blocks) > 0
    head = "from fluxqueue import FluxQueue\n\nfluxqueue = FluxQueue()\n"
    (tmp_path / "program.py").write_text(head + program)
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path, env=os.environ | {"FLUXQUEUE_REDIS_URL": redis_url},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_example_of_tests_runs(tmp_path: Path) -> None:
    first, *_, last = BLOCK.findall((DOCS / "dependencies.md").read_text())
    (tmp_path / "billing.py").write_text(first)
    ran = subprocess.run(
        [sys.executable, "-c", last], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
