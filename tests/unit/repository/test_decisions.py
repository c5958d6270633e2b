"""The records in docs/decisions have one form, and the index has them all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
FORM = re.compile(
    r"\A# (?P<number>\d{4}): (?P<title>[^\n]+)\n\n"
    r"Status: (?P<status>accepted|replaced by \d{4})\n\n"
    r"\*\*Decision\.\*\*\s.+\n\n"
    r"\*\*Why\.\*\*\s.+\n\n"
    r"\*\*What would change it\.\*\*\s.+\n\Z",
    re.DOTALL,
)


@pytest.mark.parametrize("record", RECORDS, ids=[record.stem[:4] for record in RECORDS])
def test_a_record_has_the_form(record: Path) -> None:
    found = FORM.match(record.read_text())
    assert found, "docs/decisions/README.md shows the form"
    assert record.name.startswith(found["number"] + "-")
    replacement = found["status"].removeprefix("replaced by ")
    assert replacement == "accepted" or list(FOLDER.glob(f"{replacement}-*.md"))


def test_the_index_has_each_record() -> None:
    page = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    wanted = []
    for record in RECORDS:
        found = FORM.match(record.read_text())
        assert found
        wanted.append((found["number"], found["title"], record.name, found["status"]))
    assert [row[:4] for row in rows] == wanted


def test_no_number_is_used_twice() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert len(numbers) >= 41
    assert len(set(numbers)) == len(numbers)


def test_each_link_from_the_code_leads_to_a_record() -> None:
    roots = ("packages", "services", "tests", "benchmarks", "examples", "scripts")
    command = ["git", "grep", "-ohE", r"docs/decisions/[0-9]{4}[a-z0-9-]*(\.md)?", "--", *roots]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if found.returncode > 1:
        pytest.skip("this is not a repository")
    links = set(found.stdout.split())
    assert len(links) >= 15
    assert [link for link in sorted(links) if not (ROOT / link).is_file()] == []


def test_each_record_is_linked_from_what_it_explains() -> None:
    links = r"decisions/[0-9]{4}-[a-z0-9-]*\.md"
    command = ["git", "grep", "-ohE", "--untracked", links, "--", ".", ":!docs/decisions"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if found.returncode > 1:
        pytest.skip("this is not a repository")
    linked = {Path(link).name for link in found.stdout.split()}
    accepted = {each.name for each in RECORDS if "\nStatus: accepted\n" in each.read_text()}
    assert sorted(accepted - linked) == [], "link each from the code or the page that it explains"


@pytest.mark.parametrize(
    "text",
    [
        "# 45. Title\n\nStatus: accepted\n\n**Decision.** A.\n\n**Why.** B.\n\n"
        "**What would change it.** C.\n",
        "# 0045: Title\n\nStatus: maybe\n\n**Decision.** A.\n\n**Why.** B.\n\n"
        "**What would change it.** C.\n",
        "# 0045: Title\n\nStatus: accepted\n\n**Decision.** A.\n\n**Why.** B.\n",
    ],
)
def test_another_form_is_found(text: str) -> None:
    assert not FORM.match(text)
