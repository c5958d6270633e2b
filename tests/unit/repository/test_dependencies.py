"""The dependencies. Crates come from crates.io, with a checksum, under licences that we
may ship, and without duplicates. Python packages come from the index by name, in the
pinned versions, under licences that we may use, and without duplicates.

The tests don't look up known vulnerabilities: that needs an advisory database.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections import Counter, defaultdict
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def is_allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression leaves a choice of these licences alone."""
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression)
    tokens.reverse()

    def choice() -> bool:
        allowed = together()
        while tokens and tokens[-1] in ("OR", "/"):
            tokens.pop()
            allowed = together() or allowed
        return allowed

    def together() -> bool:
        allowed = single()
        while tokens and tokens[-1] == "AND":
            tokens.pop()
            allowed = single() and allowed
        return allowed

    def single() -> bool:
        token = tokens.pop() if tokens else ""
        if token == "(":
            allowed = choice()
            return bool(tokens) and tokens.pop() == ")" and allowed
        if tokens and tokens[-1] == "WITH":  # an exception only permits more
            del tokens[-2:]
        return token in licences

    return choice() and not tokens


def test_every_crate_has_a_licence_that_may_be_shipped(metadata: list[dict[str, Any]]) -> None:
    assert len(metadata) > 50
    odd = {
        p["name"]: p["license"]
        for p in metadata
        if not is_allowed(p["license"] or "none", LICENCES)
    }
    assert odd == {}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT OR GPL-3.0", True),
        ("GPL-3.0/MIT", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", True),
        ("GPL-3.0", False),
        ("MIT AND GPL-3.0", False),
        ("GPL-3.0 AND (Apache-2.0 OR MIT)", False),
        ("(MIT OR GPL-3.0) AND (GPL-2.0 OR ISC)", True),
        ("none", False),
        ("", False),
        ("MIT Apache-2.0", False),
        ("(MIT", False),
    ],
)
def test_other_licences_are_found(expression: str, allowed: bool) -> None:
    assert is_allowed(expression, LICENCES) is allowed


# Python packages are installed alongside ours, as their authors published them, so
# licences that only cover changed files (MPL) are acceptable.
LICENCES_BESIDE = LICENCES | {"BSD-2-Clause", "MPL-2.0", "PSF-2.0", "ZPL-2.1"}
# Packages without the field License-Expression name their licence in these ways.
NAMES_BEFORE_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Packages without any such field; their file LICENSE says it. The first has axe-core (MPL-2.0).
IN_THEIR_FILES = {"axe-playwright-python": "MIT AND MPL-2.0"}
OURS = [
    *("fluxqueue", "fluxqueue-core", "fluxqueue-worker"),
    *("fluxqueue-control", "fluxqueue-scheduler", "fluxqueue-dashboard"),
]


def pins() -> list[str]:
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def needed(roots: list[str]) -> dict[str, Distribution]:
    """The distributions that these requirements bring, on this interpreter and system."""
    found: dict[str, Distribution] = {}
    seen = set()
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in map(Requirement, roots)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = distribution(name)
        for child in map(Requirement, found[name].requires or []):
            asked = child.marker is None or any(
                child.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            if asked:
                waiting.append((canonicalize_name(child.name), frozenset(child.extras)))
    return found


@pytest.fixture(scope="module")
def packages() -> dict[str, Distribution]:
    """The needs of our packages with telemetry, and of the pinned ones."""
    found = needed([*(f"{name}[otel]" for name in OURS), *pins()])
    for name in OURS:
        del found[name]
    return found


def licence(of: Distribution) -> str:
    """Returns an SPDX expression, from older fields if there is no such field."""
    metadata = of.metadata.json
    if "license_expression" in metadata:
        return str(metadata["license_expression"])
    said = str(metadata.get("license", ""))
    if said in LICENCES_BESIDE | NAMES_BEFORE_SPDX.keys():
        return NAMES_BEFORE_SPDX.get(said, said)
    prefix = "License :: OSI Approved :: "
    names = [c.removeprefix(prefix) for c in metadata.get("classifier", []) if c.startswith(prefix)]
    named = " AND ".join(NAMES_BEFORE_SPDX.get(name, name) for name in names)
    return named or IN_THEIR_FILES.get(str(metadata["name"]), "none")


def test_every_development_package_is_pinned() -> None:
    assert len(pins()) > 10
    assert [p for p in pins() if not re.fullmatch(r"[\w.\[\],-]+==[\w.]+", p)] == []


def test_no_package_is_pinned_twice() -> None:
    names = Counter(canonicalize_name(Requirement(pin).name) for pin in pins())
    assert {name for name, count in names.items() if count > 1} == set()


def test_the_pinned_versions_are_the_ones_looked_at(packages: dict[str, Distribution]) -> None:
    pinned = {canonicalize_name(r.name): r for r in map(Requirement, pins())}
    found = {name: packages[name].version for name in pinned}
    other = {name: v for name, v in found.items() if not pinned[name].specifier.contains(v, True)}
    assert other == {}, "run scripts/setup again"


def test_every_package_comes_from_the_index(packages: dict[str, Distribution]) -> None:
    """pip notes where else a package came from: an address, a folder, a repository."""
    for name in OURS:
        assert distribution(name).read_text("direct_url.json"), f"{name}: no note of its folder"
    odd = {name for name, found in packages.items() if found.read_text("direct_url.json")}
    assert odd == set()
    names = [*(f"{name}[otel]" for name in OURS), *pins()]
    by_address = {
        text
        for found in needed(names).values()
        for text in found.requires or []
        if Requirement(text).url
    }
    assert by_address == set()


def test_no_package_is_installed_twice(packages: dict[str, Distribution]) -> None:
    names = Counter[str](canonicalize_name(found.name) for found in distributions())
    assert {name for name in packages if names[name] != 1} == set()


def test_every_package_has_a_licence_that_we_may_use(packages: dict[str, Distribution]) -> None:
    # Direct and indirect needs of ours (also through an extra), and a tool's.
    assert {"orjson", "redis", "structlog", "protobuf", "requests", "pluggy"} <= packages.keys()
    licences = {name: licence(found) for name, found in packages.items()}
    odd = {name: said for name, said in licences.items() if not is_allowed(said, LICENCES_BESIDE)}
    assert odd == {}
