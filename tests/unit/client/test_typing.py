"""mypy and pyright know a task's signature, as callers see it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Checker = Callable[[Path], set[int]]

CASES = Path(__file__).with_name("typing_cases.py")
FOUND = re.compile(r"typing_cases\.py:(\d+): error")


def expected() -> set[int]:
    lines = CASES.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


def mypy(folder: Path) -> set[int]:
    options = ["--strict", "--no-error-summary", "--hide-error-context", f"--cache-dir={folder}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(CASES)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(number) for number in FOUND.findall(done.stdout)}


def pyright(folder: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", f"--pythonpath={sys.executable}", CASES],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_wrong_calls_and_only_they_are_rejected(checker: Checker, tmp_path: Path) -> None:
    wanted = expected()
    assert len(wanted) > 10
    assert checker(tmp_path) == wanted
