"""Builds every distribution once; all tests of the folder run in one process of
pytest-xdist, so that they share them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.distributions import CARGO_TARGET, PACKAGES, ROOT, Built
from support.interpreters import has_gil
from support.virtual_environment import EnvironmentWith, VirtualEnvironment, build_path, run


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheels and sdists, built from the folders of the repository with the build
    tools of this environment."""
    grouped = [item for item in request.session.items if item.nodeid.endswith("@packaging")]
    if "PYTEST_XDIST_WORKER" in os.environ and not grouped:
        pytest.fail("two processes would build in one folder: use --dist loadgroup, or no -n")
    wheel_folder = tmp_path_factory.mktemp("wheels")
    sdist_folder = tmp_path_factory.mktemp("sdists")
    wheels: dict[str, Path] = {}
    sdists: dict[str, Path] = {}
    for name, package in PACKAGES.items():
        # setuptools would take what an earlier build has left there.
        shutil.rmtree(package.folder / "build", ignore_errors=True)
        options = ("--no-deps", "--no-build-isolation", "--wheel-dir", wheel_folder)
        run(sys.executable, "-m", "pip", "wheel", *options, package.folder, PATH=build_path())
        options = ("--sdist", "--no-isolation", "--outdir", sdist_folder)
        run(sys.executable, "-m", "build", *options, package.folder, PATH=build_path())
        (wheels[name],) = wheel_folder.glob(f"{package.module}-*.whl")
        (sdists[name],) = sdist_folder.glob(f"{package.module}-*.tar.gz")
    return Built(wheel_folder, wheels, sdists)


@pytest.fixture(scope="session")
def isolated_wheels(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels that pip makes of the sdists alone, as a user's pip would: in a
    temporary folder, with build tools that it gets from the index."""
    folder = tmp_path_factory.mktemp("isolated")
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder)
    # Shared with the other builds: the dependencies are compiled already.
    run(*command, *built.sdists.values(), CARGO_TARGET_DIR=str(CARGO_TARGET))
    return {name: folder / wheel.name for name, wheel in built.wheels.items()}


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | Path], Path]:
    """Gives, for an interpreter, a folder with wheels of all that the packages
    need from others. So no installation below asks an index, where packages of
    the same names as ours may be."""
    names = sorted({name for package in PACKAGES.values() for name in package.brings})
    folders: dict[str | Path, Path] = {}

    def get(python: str | Path = sys.executable) -> Path:
        if python not in folders:
            folder = folders[python] = tmp_path_factory.mktemp("dependencies")
            wanted = [name for name in names if has_gil(python) or name != "orjson"]
            options = ("--only-binary", ":all:", "--dest", folder)
            constraint = ("--constraint", ROOT / "requirements-dev.txt")
            run(python, "-m", "pip", "download", "--quiet", *options, *constraint, *wanted)
        return folders[python]

    return get


@pytest.fixture(scope="session")
def environment_with(
    built: Built,
    dependencies: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> EnvironmentWith:
    """Gives a clean environment in which the named packages were installed, each
    set of them once."""
    made: dict[tuple[str, ...], VirtualEnvironment] = {}

    def make(*names: str) -> VirtualEnvironment:
        if names not in made:
            environment = VirtualEnvironment(tmp_path_factory.mktemp("environment") / "venv")
            environment.install(names, built.folder, dependencies())
            made[names] = environment
        return made[names]

    return make
