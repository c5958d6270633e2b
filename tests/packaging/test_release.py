"""`scripts/release --dry-run`, with the wheel of the core that the tests have built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from releasing.names import ON_INDEX
from support.distributions import ROOT, Built, version
from support.virtual_environment import clean_environment, run

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone of the commit that is tested."""
    folder = tmp_path_factory.mktemp("release") / "clone"
    run("git", "clone", "--quiet", "--shared", ROOT, folder)
    return folder


def release(clone: Path, *options: str | Path, **variables: str) -> tuple[int, str]:
    """Returns the exit code of scripts/release and what it said."""
    # The interpreter that the wheel of the core is for.
    tools = {
        "FLUXQUEUE_RELEASE_TOOLS": str(ROOT / ".cache/release-tools"),
        "PYTHON": sys.executable,
    }
    done = subprocess.run(
        [clone / "scripts/release", *options],
        env=clean_environment() | tools | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def core_of(built: Built, folder: Path, platform: str | None = None) -> Path:
    """A folder with the wheel of the core, under the name of another platform if given."""
    wheel = built.wheels["fluxqueue-core"]
    name = wheel.name if platform is None else f"{wheel.name.rpartition('-')[0]}-{platform}.whl"
    folder.mkdir()
    shutil.copy(wheel, folder / name)
    return folder


def test_a_dry_run_builds_checks_and_tries_all_packages(
    built: Built, dependencies: Callable[[], Path], clone: Path, tmp_path: Path
) -> None:
    # The tools of a release come from the index, nothing later does.
    assert release(clone, "--help")[0] == 0
    core, out = core_of(built, tmp_path / "core"), tmp_path / "dist"
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(dependencies())}
    options = ("--dry-run", "--core-wheels", core, "--out", out)
    code, said = release(clone, *options, **offline)
    assert code == 0, said
    assert "two tasks ran to their end with _core" in said
    files = sorted(file.name for file in out.iterdir())
    assert len(files) == 2 * len(ON_INDEX)
    summed = run("sha256sum", *sorted(out.iterdir())).replace(f"{out}/", "")
    assert summed in said
    for name in ON_INDEX.values():
        assert f"\n{name}=={version()}: 2 files, " in said
    assert "open: no wheel of the core for aarch64-unknown-linux-musl" in said
    assert said.endswith("nothing is published\n")


def test_a_wheel_that_promises_too_old_a_system_is_refused(
    built: Built, clone: Path, tmp_path: Path
) -> None:
    core = core_of(built, tmp_path / "core", "manylinux_2_5_x86_64")
    code, said = release(clone, "--dry-run", "--core-wheels", core)
    assert code == 1
    assert "which is newer than its name says" in said, said


def test_an_open_point_stops_a_tag(built: Built, clone: Path, tmp_path: Path) -> None:
    core = core_of(built, tmp_path / "core")
    code, said = release(clone, "--dry-run", "--tag", f"v{version()}", "--core-wheels", core)
    assert code == 1
    assert "not ready for the tag:\n" in said and "linux_x86_64.whl is for this system" in said


def test_a_run_that_can_not_succeed_builds_nothing(clone: Path, tmp_path: Path) -> None:
    code, said = release(clone, "--dry-run", "--tag", "v0.0.1", "--core-wheels", tmp_path)
    assert code == 1 and "the tag is 'v0.0.1'" in said
    code, said = release(clone, "--dry-run", "--core-wheels", tmp_path)
    assert code == 1 and "has no fluxqueue_core-*.whl" in said
    (clone / "new.txt").touch()
    code, said = release(clone, "--dry-run")
    (clone / "new.txt").unlink()
    assert code == 1 and "uncommitted changes, such as '?? new.txt'" in said
    code, said = release(clone)
    assert code == 2 and "publishes nothing" in said
