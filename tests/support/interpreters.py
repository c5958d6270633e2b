"""Other interpreters than the one of the tests: where they are, and wheels of the core for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .distributions import CARGO, CARGO_TARGET
from .virtual_environment import run


def find(version: str) -> str | None:
    """A CPython of this version: the one that runs, one on PATH, or one of pyenv's."""
    candidates = [sys.executable, f"python{version}"]
    if shutil.which("pyenv"):
        prefix = _answer("pyenv", "prefix", version)
        candidates.append(f"{prefix}/bin/python" if prefix else "")
    test = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        if _answer(candidate, "-c", test) == f"cpython {version}":
            return candidate
    return None


def _answer(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


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
