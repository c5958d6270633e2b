"""Virtual environments of the peers, with the versions that requirements/ pins."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable

from fluxqueue_bench.harness import FOLDER

from .library import ENVIRONMENTS, OWN, Library, all_libraries

REQUIREMENTS = FOLDER / "requirements"


def install(names: Iterable[str]) -> None:
    """Makes what these libraries need; nothing if it is there already."""
    wanted = set(names)
    for library in all_libraries():
        if library.name in wanted and library.environment != OWN:
            _install(library)


def _install(library: Library) -> None:
    requirements = REQUIREMENTS / f"{library.environment}.txt"
    folder = ENVIRONMENTS / library.environment
    stamp = folder / "installed"
    python = library.interpreter
    assert python is not None, f"{library.python} is not on PATH"
    version = subprocess.run([python, "-VV"], check=True, capture_output=True).stdout
    state = hashlib.sha256(requirements.read_bytes() + version).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return
    print(f"# installing {requirements.name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    # Another interpreter may have no pip.
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    target = ["--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, *target, "install", "--requirement", str(requirements)], check=True)
    stamp.write_text(state)
