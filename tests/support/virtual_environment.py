"""Clean virtual environments, filled from folders of wheels and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from packaging.utils import canonicalize_name

# The environment of a build or an installation: the settings of pip stay (where
# the index is), what the tests themselves need does not leak in.
_OWN = ("PYTHON", "VIRTUAL_ENV", "FLUXQUEUE_", "COV_CORE_", "COVERAGE_")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Runs a command to its end and returns its output.

    Raises:
        AssertionError: it failed; the text has what it said.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment() | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{[str(word) for word in command]} failed:\n{done.stdout}"
    return done.stdout


def build_path() -> str:
    """PATH with the tools of the environment that runs the tests (maturin) first."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


class VirtualEnvironment:
    """A new environment of one interpreter, without pip: the one that runs the
    tests installs into it.

    Args:
        installer: the interpreter whose pip installs; its pip has to know the other one's ABI.
        make: False if the folder is an environment already.
    """

    def __init__(
        self,
        folder: Path,
        python: str | Path = sys.executable,
        *,
        installer: str | Path = sys.executable,
        make: bool = True,
    ) -> None:
        self.folder = folder
        self._installer = installer
        if make:
            run(python, "-m", "venv", "--without-pip", folder)

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    def pip(self, command: str, *arguments: str | Path) -> str:
        return run(
            self._installer,
            *("-m", "pip", "--disable-pip-version-check", "--python", self.python),
            command,
            *arguments,
        )

    def install(self, requirements: Iterable[str], *folders: Path) -> None:
        """Installs from the wheels in the folders; no index is asked."""
        sources = [word for folder in folders for word in ("--find-links", folder)]
        self.pip("install", "--no-index", *sources, *requirements)

    def installed(self) -> dict[str, str]:
        """Version of everything in it, by its name in the normal form."""
        listed = json.loads(self.pip("list", "--format", "json"))
        return {canonicalize_name(package["name"]): package["version"] for package in listed}

    def run(self, command: str, *arguments: str | Path, cwd: Path, **variables: str) -> str:
        """Runs one of its commands, in a folder where no source is in reach."""
        return run(self.bin / command, *arguments, cwd=cwd, **variables)


# Gives an environment with the packages of these names.
EnvironmentWith = Callable[..., VirtualEnvironment]
