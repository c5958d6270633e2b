"""The previous minor version, built from its last commit into a separate environment.

It takes a minute, so it is kept in `.cache/upgrade`, by commit and
interpreter; delete the folder to build it again.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from .distributions import PACKAGES, ROOT
from .virtual_environment import VirtualEnvironment, build_path, run

RECORD = ROOT / "tests/upgrade/previous.toml"
CACHE = ROOT / ".cache/upgrade"
# Its speed does not matter: without optimization the build takes a fraction of the time.
QUICKLY = {
    "MATURIN_PEP517_ARGS": "--profile=dev",
    "CARGO_PROFILE_DEV_DEBUG": "false",
    "CARGO_INCREMENTAL": "0",
}


class NoHistory(Exception):
    """The commit is not in this repository: a shallow clone, or no repository."""


def recorded() -> tuple[str, str]:
    """The previous version, and its last commit."""
    record = tomllib.loads(RECORD.read_text())
    return record["version"], record["commit"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of the tests out of a folder, which it makes if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sources(commit: str, folder: Path) -> None:
    done = subprocess.run(
        ["git", "-C", ROOT, "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise NoHistory(
            f"commit {commit} of the previous version is not here ({said}); "
            "fetch the whole history: git fetch --unshallow"
        )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="tar")


def _build(commit: str, folder: Path) -> VirtualEnvironment:
    sources, wheels = folder / "sources", folder / "wheels"
    _sources(commit, sources)
    packages = [p for p in PACKAGES.values() if (sources / p.folder.relative_to(ROOT)).exists()]
    for package in packages:
        options = ("--no-deps", "--no-build-isolation", "--wheel-dir", wheels)
        run(
            *(sys.executable, "-m", "pip", "wheel", *options),
            sources / package.folder.relative_to(ROOT),
            cwd=folder,
            PATH=build_path(),
            CARGO_TARGET_DIR=str(folder / "target"),
            **QUICKLY,
        )
    environment = VirtualEnvironment(folder / "environment")
    brings = sorted({name for package in packages for name in package.brings})
    environment.pip("install", "--constraint", sources / "requirements-dev.txt", *brings)
    # From these files alone: an index may have packages of the same names.
    environment.install([package.name for package in packages], wheels)
    for done_with in (sources, folder / "target"):
        shutil.rmtree(done_with)
    return environment


def previous_version() -> VirtualEnvironment:
    """Returns the environment with all packages of the previous version.

    Raises:
        NoHistory: the commit is not in this repository.
        AssertionError: it can't be built; the text has what was said.
    """
    _, commit = recorded()
    tag = f"{commit[:12]}-{sys.implementation.cache_tag}"
    with locked(CACHE):
        folder, made = CACHE / tag, CACHE / tag / "made"
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _build(commit, folder)
            made.touch()
        return VirtualEnvironment(folder / "environment", make=False)
