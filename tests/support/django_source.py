"""The source distribution of Django, which has its tests; the wheel does not."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

# The newest tests serve older versions of the framework too.
VERSION = "6.1.3"
# Names the archive, for an environment without pip.
ARCHIVE = "FLUXQUEUE_TEST_DJANGO_SOURCE"


def archive(folder: Path) -> Path:
    """Downloads it into the folder, and returns its path. Skips the test of a laptop without a
    network."""
    if (known := os.environ.get(ARCHIVE)) is not None:
        return Path(known)
    options = ("--no-deps", "--no-binary", "Django", "--no-build-isolation")
    command = (sys.executable, "-m", "pip", "download", *options, "--ignore-requires-python")
    done = subprocess.run(
        [*command, "--dest", folder, f"Django=={VERSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"Django's source can't be downloaded: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    [found] = folder.glob("*.tar.gz")
    return found


def unpack_tests(source: Path, folder: Path) -> None:
    """Unpacks `tests/tasks` as `tasks` of the folder."""
    with tarfile.open(source) as packed:
        prefix = f"{source.name.removesuffix('.tar.gz')}/tests/"
        for member in packed.getmembers():
            if member.name.startswith(f"{prefix}tasks/") and member.isfile():
                member.name = member.name.removeprefix(prefix)
                packed.extract(member, folder, filter="data")
