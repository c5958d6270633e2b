"""CHANGELOG.md: each version has each heading once, in one order, and short entries."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "CHANGELOG.md").read_text()
HEADINGS = ["Upgrading", "Added", "Changed", "Fixed"]


def versions(page: str) -> dict[str, str]:
    """The text below the heading of each version."""
    _, *parts = re.split(r"^## \[(.+?)\].*\n", page, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def misplaced(text: str) -> list[str]:
    """The headings of a version that are unknown, come twice, or are out of order."""
    found = re.findall(r"^### (.+)$", text, re.MULTILINE)
    wanted = [heading for heading in HEADINGS if heading in found]
    return [] if found == wanted else found


def too_long(text: str) -> list[str]:
    """The first lines of the entries that have more than two lines."""
    entries = re.findall(r"^- .*\n(?:  .*\n)*", text, re.MULTILINE)
    return [entry.split("\n")[0] for entry in entries if entry.count("\n") > 2]


def test_each_heading_comes_once_and_in_order() -> None:
    found = versions(PAGE)
    assert next(iter(found)) == "Unreleased" and len(found) >= 3
    assert {version: misplaced(text) for version, text in found.items() if misplaced(text)} == {}


def test_an_entry_has_two_lines_at_most() -> None:
    assert too_long(versions(PAGE)["Unreleased"]) == [], "say more on the page of the feature"


def test_a_long_entry_and_a_heading_out_of_order_are_found() -> None:
    page = "## [1.0]\n\n### Fixed\n\n- A.\n\n### Added\n\n- B\n  b\n  b.\n- C\n  c.\n"
    [text] = versions(page).values()
    assert misplaced(text) == ["Fixed", "Added"]
    assert too_long(text) == ["- B"]
