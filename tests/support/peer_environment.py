"""Environments with another task queue, in the version that benchmarks/requirements pins.

An installation takes seconds, so it is kept in `.cache/peers`, by requirements and interpreter;
delete the folder to install it again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from .distributions import ROOT
from .previous_version import locked
from .virtual_environment import VirtualEnvironment

REQUIREMENTS = ROOT / "benchmarks/requirements"
CACHE = ROOT / ".cache/peers"


def peer_environment(name: str, *, alone: bool = False) -> VirtualEnvironment:
    """Returns the environment with this library. The packages of the tests are there as well, so
    both systems work in one process, as in an application that moves.

    If pip can't install it, the test is skipped; in CI it fails.

    Args:
        alone: without the packages of the tests.
    """
    file = REQUIREMENTS / f"{name}.txt"
    state = hashlib.sha256(file.read_bytes() + f"{sys.version} {sys.prefix}".encode())
    folder = CACHE / f"{name}-{state.hexdigest()[:12]}"
    environment, made = folder / "environment", folder / "made"
    with locked(folder):
        if not made.exists():
            shutil.rmtree(environment, ignore_errors=True)
            _install(VirtualEnvironment(environment), file, alone=alone)
            made.touch()
        return VirtualEnvironment(environment, make=False)


def _install(environment: VirtualEnvironment, file: Path, *, alone: bool) -> None:
    if not alone:
        own = Path(sysconfig.get_path("purelib", vars={"base": str(environment.folder)}))
        here = sysconfig.get_path("purelib")
        # pip leaves out what is there in the same version.
        (own / "tests.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    try:
        environment.pip("install", "--no-deps", "--no-compile", "--requirement", file)
    except AssertionError as error:
        if os.environ.get("CI") == "true":
            raise  # a skipped test would go unnoticed there
        pytest.skip(f"{file.stem} can't be installed: {error}")
