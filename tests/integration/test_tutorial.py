"""The first page and those of the tutorial, unchanged: their files, their commands, and the
output of these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.page_commands import PageRun

DOCS = Path(__file__).parents[2] / "docs"
STEPS = sorted((DOCS / "tutorial").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", [DOCS / "README.md", *STEPS], ids=lambda page: page.stem)
def test_a_page_runs(page: Path, tmp_path: Path, redis_url: str) -> None:
    with PageRun(page, tmp_path, redis_url) as run:
        assert run.run() > 2


def test_the_tutorial_has_ten_steps_and_its_first_page_lists_them() -> None:
    assert len(STEPS) == 10
    listed = re.findall(
        r"^\| \[(.*?)\]\((.*?)\)", (DOCS / "tutorial" / "README.md").read_text(), re.M
    )
    titles = [(page.read_text().splitlines()[0].removeprefix("# "), page.name) for page in STEPS]
    assert listed == titles


def test_other_output_than_that_of_the_page_is_found(tmp_path: Path, redis_url: str) -> None:
    page = tmp_path / "page.md"
    for shown, is_right in {"a 1 c\n": True, "a ... c\n": True, "...\nc\n": False}.items():
        page.write_text(f"```console\n$ echo a 1 c\n{shown}```\n")
        with PageRun(page, tmp_path, redis_url) as run:
            if is_right:
                assert run.run() == 1
            else:
                with pytest.raises(AssertionError, match="echo a 1 c"):
                    run.run()
