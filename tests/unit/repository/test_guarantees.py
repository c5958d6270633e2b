"""docs/guarantees.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from chaos.faults import load, names

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/guarantees.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"^- `(tests/[\w/]+\.py)(?:::(\w+))?`$", PAGE, re.MULTILINE)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and f"def {name}(" not in (ROOT / file).read_text())
    ]
    assert len(named) > 20
    assert missing == []


def test_every_promise_has_a_test() -> None:
    promises = PAGE.split("## Not promised")[0].split("\n**")[1:]
    numbers = [int(text.split(".", 1)[0]) for text in promises]
    assert numbers == list(range(1, 16))
    assert all("\n- `tests/" in text for text in promises)


def test_the_table_of_the_chaos_suite_has_its_faults() -> None:
    titles = {load(name).title for name in names()}
    section = PAGE.split("## Every fault")[1].split("\n## ")[0]
    ours = section.split("| killed worker |")[0]
    rows = re.findall(r"^\| ([^|]+) \| \d", ours, re.MULTILINE)
    assert len(rows) > 30
    assert set(rows) == titles | {"all"}, "the table is of other faults than there are"
    assert re.search(r"^`scripts/chaos .*`, seed \d+", section, re.MULTILINE)
