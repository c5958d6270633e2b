"""A result says what it was measured on, and nothing about where."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from fluxqueue_bench import machine

CPUINFO = """processor\t: 0
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1

processor\t: 1
cpu family\t: 25
"""


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_commit_says_whether_what_is_measured_was_changed(tmp_path: Path) -> None:
    assert machine.commit(tmp_path) == "unknown"
    git(tmp_path, "init")
    for name in ("docs/page.md", "benchmarks/results/full.json", "code/a.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("first\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    clean = machine.commit(tmp_path / "code")
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "docs/page.md").write_text("written by a run\n")
    (tmp_path / "benchmarks/results/alone.json").write_text("written by a run\n")
    assert machine.commit(tmp_path / "code") == clean
    (tmp_path / "code/b.py").write_text("not committed\n")
    assert machine.commit(tmp_path / "code") == f"{clean}-dirty"


def test_the_processor_is_named_with_its_numbers() -> None:
    assert machine.processor(CPUINFO) == "AMD EPYC (family 25 model 17 stepping 1)"
    assert machine.processor("processor\t: 0\nBogoMIPS\t: 50.00\n") == "unknown"


def test_a_kernel_has_its_version_only() -> None:
    assert machine.kernel_version("6.1.0-13-amd64") == "6.1.0"


def test_a_description_has_no_path() -> None:
    found = machine.describe()
    assert {"processor", "kernel", "commit", "fluxqueue", "redis"} <= set(found)
    assert not [value for value in found.values() if "/" in value]
