"""The wheels of the images, installed in a container that has Python and nothing else."""

from __future__ import annotations

from pathlib import Path

from releasing.installing import try_in_container
from support.stack import run

ROOT = Path(__file__).parents[2]
IMAGE = "python:3.13-slim-trixie"


def test_a_task_runs_in_a_bare_container_of_debian(tmp_path: Path) -> None:
    # The stage in which scripts/compose-test has built them for its images.
    build = ("docker", "build", "--quiet", "--file", "docker/Dockerfile", "--target", "wheels", ".")
    container = run("docker", "create", run(*build, timeout=600).strip()).strip()
    try:
        run("docker", "cp", f"{container}:/wheels", str(tmp_path))
    finally:
        run("docker", "rm", container)
    said = try_in_container(tmp_path / "wheels", tmp_path, IMAGE)
    assert said.endswith("two tasks ran to their end with _core.cpython-313-x86_64-linux-gnu.so")
