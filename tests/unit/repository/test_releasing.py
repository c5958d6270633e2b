"""The checks before a release, and the tables of its platforms and names."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest
from releasing import building, checks, names, platforms
from releasing.problems import NotReady
from support.distributions import PACKAGES, ROOT, version

CORE = "packages/fluxqueue-core-rs"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository that is ready, with version 1.2.3."""
    core = tmp_path / CORE
    core.mkdir(parents=True)
    text = '[package]\nname = "fluxqueue-core"\nversion = "1.2.3"\n'
    (core / "Cargo.toml").write_text(text)
    (core / "Cargo.lock").write_text(f"[{text}".replace("]", "]]", 1))
    for link in checks.LINKS:
        (tmp_path / link).parent.mkdir(parents=True)
        (tmp_path / link).symlink_to(core / "Cargo.toml")
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.3]: 2026-12-01\n\n- A line.\n"
    )
    return tmp_path


def test_a_ready_tree_passes(tree: Path) -> None:
    assert checks.one_version(tree) == "1.2.3"
    assert checks.check_changelog(tree, "1.2.3") == []
    checks.check_tag("v1.2.3", "1.2.3")


def test_this_repository_has_one_version() -> None:
    assert checks.one_version(ROOT) == version()


def test_a_package_with_its_own_version_is_named(tree: Path) -> None:
    own = tree / checks.LINKS[1]
    own.unlink()
    own.write_text((tree / CORE / "Cargo.toml").read_text())
    with pytest.raises(NotReady, match=r"fluxqueue-worker/VERSION.toml must be a link"):
        checks.one_version(tree)


def test_an_old_lock_file_is_named(tree: Path) -> None:
    lock = tree / CORE / "Cargo.lock"
    lock.write_text(lock.read_text().replace("1.2.3", "1.2.2"))
    with pytest.raises(NotReady, match=r"Cargo.lock has version 1.2.2, .* run cargo update"):
        checks.one_version(tree)


def test_a_version_of_another_form_is_refused(tree: Path) -> None:
    cargo = tree / CORE / "Cargo.toml"
    cargo.write_text(cargo.read_text().replace("1.2.3", "1.2.3-rc1"))
    with pytest.raises(NotReady, match=r"'1.2.3-rc1'; write it as 1.2.3"):
        checks.one_version(tree)


def test_a_changelog_needs_a_section_with_lines(tree: Path) -> None:
    with pytest.raises(NotReady, match=r"no section for 1.3.0; add '## \[1.3.0\]"):
        checks.check_changelog(tree, "1.3.0")
    page = tree / "CHANGELOG.md"
    page.write_text(page.read_text().replace("- A line.\n", ""))
    with pytest.raises(NotReady, match=r"section 1.2.3 of CHANGELOG.md is empty"):
        checks.check_changelog(tree, "1.2.3")


def test_a_missing_date_and_unreleased_lines_are_open(tree: Path) -> None:
    page = tree / "CHANGELOG.md"
    text = page.read_text().replace("2026-12-01", "not published")
    page.write_text(text.replace("[Unreleased]\n", "[Unreleased]\n\n- One.\n- Two.\n"))
    date, lines = checks.check_changelog(tree, "1.2.3")
    assert "no date for 1.2.3" in date and "2 entries under Unreleased" in lines


def test_another_tag_is_refused() -> None:
    with pytest.raises(NotReady, match=r"'v1.2.4', and the packages have the version 1.2.3"):
        checks.check_tag("v1.2.4", "1.2.3")


def test_a_tree_with_changes_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "new.txt").touch()
    with pytest.raises(NotReady, match=r"1 uncommitted changes, such as '\?\? new.txt'"):
        checks.check_clean(tmp_path)


def test_the_tree_of_a_release_has_the_names_of_the_index(tmp_path: Path) -> None:
    names.export(ROOT, "HEAD", tmp_path)
    for name, folder in names.FOLDERS.items():
        project = tomllib.loads((tmp_path / folder / "pyproject.toml").read_text())["project"]
        assert project["name"] == names.ON_INDEX[name]
        assert (ROOT / folder).samefile(PACKAGES[name].folder)
        # No requirement names the other project.
        setup = tmp_path / folder / "setup.py"
        assert not setup.exists() or not re.search(r"fluxqueue(\[[^]]*\])?==", setup.read_text())
        assert not re.search(r'"fluxqueue[\[<>=~!"]', (setup.parent / "pyproject.toml").read_text())


def test_a_rename_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ("packages/fluxqueue-client/pyproject.toml", 'name = "flux"', "")
    monkeypatch.setattr(names, "RENAMED", [wrong])
    with pytest.raises(NotReady, match="has 'name = \"flux\"' 0 times"):
        names.export(ROOT, "HEAD", tmp_path)


def test_missing_platforms_and_interpreters_are_listed(tmp_path: Path) -> None:
    assert len(platforms.missing(tmp_path)) == len(platforms.TARGETS)
    for tag in ("cp311-cp311", "cp312-abi3"):
        (tmp_path / f"fluxqueue_core-1.2.3-{tag}-musllinux_1_2_aarch64.whl").touch()
    (tmp_path / "fluxqueue_core-1.2.3-cp311-cp311-macosx_11_0_arm64.whl").touch()
    found = {line.split()[6].rstrip(":"): line for line in platforms.missing(tmp_path)}
    assert "cp311" not in found["aarch64-apple-darwin"]
    assert "aarch64-unknown-linux-gnu" in found
    musl = found.get("aarch64-unknown-linux-musl", "")
    assert "cp311" not in musl and "cp312" not in musl


@pytest.mark.parametrize(
    ("name", "lowest", "fits"),
    [
        ("manylinux_2_17_x86_64", "manylinux_2_17_x86_64", True),
        ("manylinux_2_28_x86_64", "manylinux_2_5_x86_64", True),
        ("manylinux_2_17_x86_64", "manylinux_2_34_x86_64", False),
        ("manylinux_2_17_aarch64", "manylinux_2_17_x86_64", False),
        ("musllinux_1_2_x86_64", "musllinux_1_2_x86_64", True),
        ("musllinux_1_2_x86_64", "manylinux_2_17_x86_64", False),
        ("manylinux_2_17_x86_64", "linux_x86_64", False),
        ("manylinux2014_x86_64", "manylinux_2_17_x86_64", False),
    ],
)
def test_a_name_promises_no_older_system_than_the_wheel_needs(
    name: str, lowest: str, fits: bool
) -> None:
    assert building.at_least(name, lowest) is fits


@pytest.mark.parametrize(("library", "fits"), [("libc.so", True), ("libz.so.1", False)])
def test_a_wheel_for_musl_needs_musl_alone(
    monkeypatch: pytest.MonkeyPatch, library: str, fits: bool
) -> None:
    """auditwheel knows musl by Alpine's name, and zig calls it libc.so."""
    tag = "musllinux_1_2_x86_64"
    found = {"overall_tag": "linux_x86_64", "sym_tag": tag, "external_libs": {library: None}}
    monkeypatch.setattr(building, "run", lambda *_: f"WARNING: of auditwheel\n{json.dumps(found)}")
    with nullcontext() if fits else pytest.raises(NotReady, match="newer than its name says"):
        building.check_platform(Path("core.whl"), {tag})
