"""The workflows for a public forge: linted, pinned, with few rights, and as .ci/run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from releasing import names, platforms

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def test_actionlint_finds_nothing() -> None:
    if program := shutil.which("actionlint"):
        command = [program]
    elif shutil.which("go"):
        command = ["go", "run", ACTIONLINT]
    elif os.environ.get("CI") == "true":
        pytest.fail("neither actionlint nor Go is on PATH, and under CI=true one must be")
    else:
        pytest.skip("neither actionlint nor Go is on PATH")
    command += [str(file) for file in FILES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(FILES) == 2


def test_zizmor_finds_no_risk() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [str(zizmor), "--offline", "--no-progress", "--quiet", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit_and_says_its_version(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text())
    assert uses
    odd = [use for use in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)]
    assert odd == []


def test_one_action_has_one_pin() -> None:
    uses = {use for file in FILES for use in re.findall(r"uses: (.*)", file.read_text())}
    assert len(uses) == len({use.partition("@")[0] for use in uses})


def test_only_two_jobs_get_an_identity_and_only_for_a_tag() -> None:
    jobs = workflow("release.yml")["jobs"]
    more = {n: job for n, job in jobs.items() if job["permissions"] != {"contents": "read"}}
    assert {name: job["permissions"] for name, job in more.items()} == {
        "attest": {"attestations": "write", "id-token": "write"},
        "publish": {"id-token": "write"},
    }
    assert {job["if"] for job in more.values()} == {"github.ref_type == 'tag'"}
    assert all(
        job["permissions"] == {"contents": "read"} for job in workflow("ci.yml")["jobs"].values()
    )
    assert [workflow(file.name)["permissions"] for file in FILES] == [{}, {}]


def test_the_release_has_each_platform_and_each_package() -> None:
    jobs = workflow("release.yml")["jobs"]
    targets = [entry["target"] for entry in jobs["core"]["strategy"]["matrix"]["include"]]
    assert targets == list(platforms.TARGETS)
    packages = jobs["publish"]["strategy"]["matrix"]["package"]
    assert packages == [name.replace("-", "_") for name in names.ON_INDEX.values()]


def test_ci_runs_the_scripts_that_the_local_run_has() -> None:
    local = set(re.findall(r"\bscripts/([\w-]+)", (ROOT / ".ci/run").read_text()))
    jobs = workflow("ci.yml")["jobs"]
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    there = set(re.findall(r"\bscripts/([\w-]+)", "\n".join(steps)))
    there |= {script.split()[0] for script in jobs["system"]["strategy"]["matrix"]["script"]}
    # scripts/test calls setup; the release builds and installs wheels.
    assert local - there <= {"libpython", "setup", "wheels"}
