"""What the core is built of: from crates.io alone, under licences that may be
shipped with it, no crate twice by accident, each with a checksum.

Known vulnerabilities are not looked up: that needs an advisory database.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
CORE = ROOT / "packages/fluxqueue-core-rs"
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
LICENCES = {"MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "Unicode-3.0", "Unlicense", "Zlib"}
# Two versions are in the lock file because one crate asks for the older one.
TWICE = {"getrandom": "ring", "windows-sys": "ring, on Windows only"}


def locked() -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = tomllib.loads((CORE / "Cargo.lock").read_text())["package"]
    return packages


@pytest.fixture(scope="module")
def metadata() -> list[dict[str, Any]]:
    if shutil.which("cargo") is None:
        pytest.skip("no cargo on this machine")
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"]
    found = subprocess.run(command, cwd=CORE, capture_output=True, text=True, timeout=60)
    if found.returncode:  # crates of other systems, never downloaded here
        command.remove("--offline")
        found = subprocess.run(command, cwd=CORE, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    packages: list[dict[str, Any]] = json.loads(found.stdout)["packages"]
    return packages


def test_every_crate_comes_from_crates_io_with_a_checksum() -> None:
    foreign = [p["name"] for p in locked() if p.get("source", CRATES_IO) != CRATES_IO]
    assert foreign == []
    without = [p["name"] for p in locked() if "source" in p and "checksum" not in p]
    assert without == []
    assert [p["name"] for p in locked() if "source" not in p] == ["fluxqueue-core"]


def test_no_crate_is_there_twice_by_accident() -> None:
    versions = defaultdict(set)
    for package in locked():
        versions[package["name"]].add(package["version"])
    assert {name for name, found in versions.items() if len(found) > 1} == set(TWICE)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice of allowed licences alone."""
    choices = re.split(r"\s+OR\s+|\s*/\s*", expression.replace("(", "").replace(")", ""))
    parts = (re.split(r"\s+AND\s+", choice) for choice in choices)
    plain = ([part.partition(" WITH ")[0].strip() for part in choice] for choice in parts)
    return any(all(part in LICENCES for part in choice) for choice in plain)


def test_every_crate_has_a_licence_that_may_be_shipped(metadata: list[dict[str, Any]]) -> None:
    assert len(metadata) > 50
    odd = {p["name"]: p["license"] for p in metadata if not is_allowed(p["license"] or "none")}
    assert odd == {}


def test_other_licences_are_found() -> None:
    assert is_allowed("MIT OR GPL-3.0") and is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0")
    assert not is_allowed("GPL-3.0") and not is_allowed("MIT AND GPL-3.0")
    assert not is_allowed("none")


def test_every_development_package_is_pinned() -> None:
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert len(packages) > 10
    assert [p for p in packages if not re.fullmatch(r"[\w.\[\],-]+==[\w.]+", p)] == []
