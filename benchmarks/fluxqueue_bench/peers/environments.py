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
    state = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return
    print(f"# installing {requirements.name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--requirement", str(requirements)], check=True)
    stamp.write_text(state)
