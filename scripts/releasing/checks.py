"""Checks the commit that a release is made of: clean, one version, and a changelog."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from .problems import NotReady

CORE = Path("packages/fluxqueue-core-rs")
# The other packages, with the file that says their version by a link to the core's.
LINKS = [
    *(Path(f"packages/fluxqueue-{name}/VERSION.toml") for name in ("client", "worker", "control")),
    *(Path(f"services/{name}/VERSION.toml") for name in ("scheduler", "dashboard")),
]


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise NotReady(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def check_clean(root: Path) -> str:
    """Returns the hash of the commit.

    Raises:
        NotReady: the tree has changes or new files.
    """
    if changes := git(root, "status", "--porcelain").splitlines():
        raise NotReady(
            f"the tree has {len(changes)} uncommitted changes, such as {changes[0].strip()!r}; "
            "commit or remove them: a release is built from a commit"
        )
    return git(root, "rev-parse", "HEAD").strip()


def one_version(root: Path) -> str:
    """Returns the version of all packages.

    Raises:
        NotReady: a package has another version, or its own.
    """
    home = root / CORE / "Cargo.toml"
    version: str = tomllib.loads(home.read_text())["package"]["version"]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise NotReady(f"{CORE}/Cargo.toml has the version {version!r}; write it as 1.2.3")
    for link in LINKS:
        if not (root / link).is_symlink() or (root / link).resolve() != home.resolve():
            raise NotReady(f"{link} must be a link to {CORE}/Cargo.toml, which has the version")
    lock = tomllib.loads((root / CORE / "Cargo.lock").read_text())["package"]
    (locked,) = (p["version"] for p in lock if p["name"] == "fluxqueue-core")
    if locked != version:
        raise NotReady(
            f"{CORE}/Cargo.lock has version {locked}, Cargo.toml has {version}; "
            f"run cargo update --workspace --manifest-path {CORE}/Cargo.toml"
        )
    return version


def check_changelog(root: Path, version: str) -> list[str]:
    """Returns what is not final yet in CHANGELOG.md.

    Raises:
        NotReady: there is no section for the version, or it is empty.
    """
    text = (root / "CHANGELOG.md").read_text()
    parts = re.split(r"^## \[([^\]]+)\](.*)$", text, flags=re.MULTILINE)[1:]
    sections = {
        name: (rest, body.strip())
        for name, rest, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }
    if version not in sections:
        raise NotReady(f"CHANGELOG.md has no section for {version}; add '## [{version}]: DATE'")
    heading, body = sections[version]
    if not body:
        raise NotReady(f"the section {version} of CHANGELOG.md is empty; say what has changed")
    open_points = []
    if not re.search(r"\d{4}-\d{2}-\d{2}", heading):
        open_points.append(f"CHANGELOG.md has no date for {version}: '## [{version}]: YYYY-MM-DD'")
    lines = len(re.findall(r"^- ", sections.get("Unreleased", ("", ""))[1], re.MULTILINE))
    if lines:
        open_points.append(f"CHANGELOG.md has {lines} entries under Unreleased; move them")
    return open_points


def check_tag(tag: str, version: str) -> None:
    """Raises NotReady if a tag is not the one of the version."""
    if tag != f"v{version}":
        raise NotReady(f"the tag is {tag!r}, and the packages have the version {version}")
