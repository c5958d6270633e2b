"""The pages: their links lead somewhere, their lines are short, and the glossary has one
line for each word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def pages() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode:
        pytest.skip("this is not a repository")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def broken(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading in it."""
    bad = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            bad.append(f"{page.relative_to(ROOT)}: {link}")
    return bad


def test_every_link_leads_somewhere() -> None:
    found = pages()
    assert len(found) > 40
    assert [link for page in found for link in broken(page)] == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One `word`\n[a](page.md#one-word) [b](page.md#two) [c](#one-word) [d](no.md)\n"
    )
    assert broken(page) == ["page.md: page.md#two", "page.md: no.md"]


def too_long(text: str) -> list[int]:
    """The numbers of the lines above 120 characters in a page's prose.

    Tables, code, generated parts and lines without a place to break are not prose.
    """

    def blank(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n")

    for part in (r"^ *```.*?^ *```", r"^<!-- begin: .*?^<!-- end: "):
        text = re.sub(part, blank, text, flags=re.MULTILINE | re.DOTALL)
    return [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > 120 and not line.startswith("|") and re.search(r"\w.* ", line)
    ]


def test_no_line_of_prose_is_above_120_characters() -> None:
    found = {page.relative_to(ROOT): too_long(page.read_text()) for page in pages()}
    assert {page: lines for page, lines in found.items() if lines} == {}


def test_a_long_line_is_found_only_in_prose() -> None:
    long = "word " * 25
    unbroken = "- " + "w" * 130
    parts = [long, f"| {long} |", f"```\n{long}\n```", unbroken]
    parts += [f"<!-- begin: run -->\n{long}\n<!-- end: run -->", f"- {long}"]
    assert too_long("\n".join(parts)) == [1, 10]


def test_every_file_that_the_architecture_names_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`(?:[\w/]+/)?(\w+\.(?:rs|py|lua))`", page))
    files = {file.name for root in ("packages", "services") for file in (ROOT / root).rglob("*.*")}
    assert len(named) > 40
    assert named - files == set()


def test_the_glossary_has_one_line_for_each_word() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/glossary.md").read_text(), re.M)
    words = [word for word, _ in rows if word != "word"]
    assert 40 < len(words) <= 60
    assert len(set(words)) == len(words)
    assert {word for word, meaning in rows if len(meaning) > 110} == set()
