"""Builds the sdists and wheels of a release, and checks them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.utils import parse_wheel_filename

from .names import FOLDERS
from .problems import NotReady


def run(*command: str | Path, **variables: str) -> str:
    """Returns the output.

    Raises:
        NotReady: the command failed. The text has the end of its output.
    """
    done = subprocess.run(
        command,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        said = done.stdout[-4000:].strip()
        words = " ".join(map(str, command))
        raise NotReady(f"{words} failed with exit code {done.returncode}:\n{said}")
    return done.stdout


def build(tree: Path, out: Path, core_wheels: Path | None, target: Path) -> None:
    """Builds all sdists, and of each sdist its wheel.

    Args:
        tree: the exported packages.
        core_wheels: a folder with wheels of the core, which are taken instead of a new one.
        target: cargo's folder, for a new one.
    """
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    for name, folder in FOLDERS.items():
        if name != "fluxqueue-core":
            run(*build, tree / folder)
        elif core_wheels is None:
            run(*build, tree / folder, CARGO_TARGET_DIR=str(target), MATURIN_PEP517_ARGS="--locked")
        else:
            run(*build, "--sdist", tree / folder)
            for wheel in core_wheels.glob("fluxqueue_core-*.whl"):
                shutil.copy(wheel, out)


def check(out: Path, version: str) -> None:
    """Checks the names, and the metadata as the index reads it.

    Raises:
        NotReady: a file is not fit for the index.
    """
    files = sorted(out.iterdir())
    for file in files:
        if f"-{version}-" not in file.name and f"-{version}.tar.gz" not in file.name:
            raise NotReady(f"{file.name} is not of version {version}")
    run(sys.executable, "-m", "twine", "check", "--strict", *files)


def check_core(folder: Path) -> list[str]:
    """Checks what each wheel of the core links with.

    Returns a line for each wheel that is for this system only.

    Raises:
        NotReady: there is no wheel, or one needs a newer system than its name says.
    """
    wheels = sorted(folder.glob("fluxqueue_core-*.whl"))
    if not wheels:
        raise NotReady(f"{folder} has no fluxqueue_core-*.whl; scripts/core-wheels builds them")
    local = []
    for wheel in wheels:
        platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
        if any(platform.startswith("linux_") for platform in platforms):
            local.append(f"{wheel.name} is for this system; scripts/core-wheels builds for others")
        elif not any(platform.startswith("macosx_") for platform in platforms):
            check_platform(wheel, platforms)
    return local


def check_platform(wheel: Path, platforms: set[str]) -> None:
    """Lets auditwheel find the oldest Linux that the wheel runs on.

    Raises:
        NotReady: that is newer than the name of the wheel says.
    """
    # Without folders, auditwheel doesn't look at libraries of this machine's C library.
    show = ("auditwheel", "show", "--json", "--ldpaths", "/nowhere")
    said = run(sys.executable, "-m", *show, wheel)
    found = json.loads(said[said.index("{") :])
    # zig calls musl libc.so, and auditwheel knows Alpine's name for it. musl's loader takes
    # each name that begins with "libc." for itself.
    lowest: str = found["sym_tag" if list(found["external_libs"]) == ["libc.so"] else "overall_tag"]
    if not any(at_least(platform, lowest) for platform in platforms):
        raise NotReady(f"{wheel.name} needs {lowest}, which is newer than its name says")


TAG = re.compile(r"((?:many|musl)linux_\d+)_(\d+)_(\w+)")


def at_least(platform: str, lowest: str) -> bool:
    """Whether a system of this tag has what another tag of the same kind needs."""
    named, needed = TAG.fullmatch(platform), TAG.fullmatch(lowest)
    if named is None or needed is None:
        return False
    return named[1] == needed[1] and int(named[2]) >= int(needed[2]) and named[3] == needed[3]


def sums(out: Path) -> list[str]:
    """Returns a line for each file, as sha256sum prints it."""
    return [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
        for file in sorted(out.iterdir())
    ]
