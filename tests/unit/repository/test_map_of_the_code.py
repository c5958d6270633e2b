"""CONTRIBUTING.md names every source file, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
SUFFIXES = (".py", ".pyi", ".rs", ".lua")
# Python's own names for a package and for its start; they say nothing of their own.
UNNAMED = ("__init__.py", "__main__.py")

SECTIONS = re.findall(r"^### `([^`]+)`: .*\n\n((?:\|.*\n)+)", PAGE, re.MULTILINE)


def test_every_package_has_a_section() -> None:
    folders = {folder for folder, _ in SECTIONS}
    roots = [*ROOT.glob("packages/*/src"), *ROOT.glob("services/*/src")]
    assert len(roots) == 4
    for root in roots:
        assert any(Path(ROOT, folder).is_relative_to(root) for folder in folders), root


@pytest.mark.parametrize(("folder", "table"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_table_is_the_folder(folder: str, table: str) -> None:
    named = re.findall(r"^\| `([^`]+)` \| \S", table, re.MULTILINE)
    sections = [ROOT / other for other, _ in SECTIONS if other != folder]
    there = {
        str(file.relative_to(ROOT / folder))
        for file in (ROOT / folder).rglob("*")
        if file.suffix in SUFFIXES
        and file.name not in UNNAMED
        and not any(
            file.is_relative_to(other) for other in sections if other.is_relative_to(ROOT / folder)
        )
    }
    assert sorted(named) == sorted(there)
