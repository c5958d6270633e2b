"""Other interpreters than the one of the tests: where they are, and wheels of the core for them."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from .distributions import CARGO, CARGO_TARGET
from .virtual_environment import run

# Why: docs/decisions/0280-the-stable-abi-from-python-3-12-on.md
STABLE = "abi3-py312"
_TEST = """
import sys, sysconfig
flag = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(sys.implementation.name, "%d.%d" % sys.version_info[:2] + flag)
"""


def find(version: str) -> str | None:
    """A CPython of this version (3.14t: free-threaded): the one that runs, one on PATH, one of
    pyenv's, or one in the folder FLUXQUEUE_PYTHONS, which .ci/run fills."""
    candidates = [sys.executable, f"python{version}"]
    if shutil.which("pyenv"):
        prefix = _answer("pyenv", "prefix", version)
        candidates.append(f"{prefix}/bin/python" if prefix else "")
    if folder := os.environ.get("FLUXQUEUE_PYTHONS"):
        candidates.append(f"{folder}/venv-{version}/bin/python")
    for candidate in filter(None, candidates):
        if _answer(candidate, "-c", _TEST) == f"cpython {version}":
            return candidate
    return None


def _answer(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def has_gil(python: str | Path) -> bool:
    """Whether an interpreter is another build than a free-threaded one."""
    return not (_answer(str(python), "-c", _TEST) or "").endswith("t")


def abi_of(python: str) -> str:
    """The ABI for which `build_core` builds: the stable one if the interpreter has it."""
    version = (_answer(python, "-c", _TEST) or "").removeprefix("cpython ")
    return version if version.endswith("t") or version == "3.11" else STABLE


def build_core(python: str, folder: Path) -> None:
    """Builds a wheel for another interpreter, in the dev profile: that is quick,
    and the same code. Its target folder is separate, since cargo would otherwise
    rebuild everything at each change of interpreter."""
    options = ("--profile", "dev", "--locked", "--interpreter", python, "--out", str(folder))
    features = ["pyo3/extension-module", *([f"pyo3/{STABLE}"] if abi_of(python) == STABLE else [])]
    run(
        *(Path(sys.executable).with_name("maturin"), "build", "--manifest-path", CARGO),
        *options,
        *("--features", ",".join(features)),
        CARGO_TARGET_DIR=str(CARGO_TARGET / "interpreters"),
        CARGO_PROFILE_DEV_DEBUG="false",
    )
    (wheel,) = folder.glob("fluxqueue_core-*.whl")
    if not has_gil(python):
        # As the build backend does, which maturin's own command does not run.
        runpy.run_path(str(CARGO.with_name("build_backend.py")))["require_msgspec"](wheel)
