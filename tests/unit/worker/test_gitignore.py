"""Which paths the files `.gitignore` exclude: the same as git says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fluxqueue_worker.gitignore import GitIgnore

FILES = {
    ".gitignore": "build/\n*.gen.py\n!keep.gen.py\n/top.py\n# a comment\n\\#odd.py\n",
    "src/.gitignore": "local.py\n!special.gen.py\n",
}
PATHS = [
    "build/a.py",
    "src/build/deep/a.py",
    "a.gen.py",
    "keep.gen.py",
    "top.py",
    "src/top.py",
    "src/local.py",
    "local.py",
    "src/special.gen.py",
    "special.gen.py",
    "#odd.py",
    "plain.py",
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", folder], check=True)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    # Rules above the repository count for nothing.
    (tmp_path / ".gitignore").write_text("*.py\n")
    return folder


@pytest.mark.parametrize("path", PATHS)
def test_it_is_what_git_says(repository: Path, path: str) -> None:
    asked = subprocess.run(["git", "check-ignore", "-q", path], cwd=repository, check=False)
    assert asked.returncode in (0, 1)
    assert GitIgnore().excludes(repository / path) is (asked.returncode == 0)


def test_changed_rules_count_at_once(repository: Path) -> None:
    ignore = GitIgnore()
    assert not ignore.excludes(repository / "plain.py")
    (repository / ".gitignore").write_text("plain.py\n")
    assert ignore.excludes(repository / "plain.py")
    (repository / ".gitignore").unlink()
    assert not ignore.excludes(repository / "plain.py")
