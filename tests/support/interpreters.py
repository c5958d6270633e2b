"""Other interpreters than the one of the tests: where they are, and wheels of the core for them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .distributions import CARGO, CARGO_TARGET
from .virtual_environment import run

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


def build_core(python: str, folder: Path) -> None:
    """Builds a wheel for another interpreter, in the dev profile: that is quick,
    and the same code. Its target folder is separate, since cargo would otherwise
    rebuild everything at each change of interpreter."""
    options = ("--profile", "dev", "--locked", "--interpreter", python, "--out", str(folder))
    run(
        *(Path(sys.executable).with_name("maturin"), "build", "--manifest-path", CARGO),
        *options,
        CARGO_TARGET_DIR=str(CARGO_TARGET / "interpreters"),
        CARGO_PROFILE_DEV_DEBUG="false",
    )
    (wheel,) = folder.glob("fluxqueue_core-*.whl")
    if not has_gil(python):
        # As the build backend does, which maturin's own command does not run.
        backend_file = CARGO.with_name("build_backend.py")
        spec = importlib.util.spec_from_file_location("backend", backend_file)
        assert spec is not None and spec.loader is not None
        backend = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(backend)
        backend.require_msgspec(wheel)
