"""Each rule of docs/protocol.md is named where it is kept and in a test that needs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RULES = re.findall(
    r"^(\d+)\. \*\*", (ROOT / "docs/protocol.md").read_text().split("\n## The rules\n")[1], re.M
)
SUFFIXES = (".py", ".rs", ".lua")
# "Rule 7", "rules 2 and 3", "rules 3, 9 and 11".
MENTION = re.compile(r"\b[Rr]ules? (\d+(?:(?:, | and )\d+)*)")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in SUFFIXES and "target" not in file.parts:
                yield file


def named_in(text: str) -> set[str]:
    return {number for match in MENTION.findall(text) for number in re.findall(r"\d+", match)}


def split(file: Path) -> tuple[str, str]:
    """The product's part of a source file, and the part that is its tests."""
    text = file.read_text()
    if file.stem.endswith("_tests"):
        return "", text
    product, _, tests = text.partition("#[cfg(test)]\nmod tests {")
    return product, tests


def test_a_mention_of_several_rules_names_each() -> None:
    assert named_in("Rule 7: nothing begins. See rules 2, 3 and 11, not the rule of three.") == {
        "2",
        "3",
        "7",
        "11",
    }


def test_the_rules_are_numbered_from_one() -> None:
    assert [str(number + 1) for number in range(len(RULES))] == RULES
    assert len(RULES) >= 15


def test_the_code_names_every_rule() -> None:
    named = set().union(*(named_in(split(file)[0]) for file in sources("packages", "services")))
    assert named == set(RULES)


def test_the_tests_name_every_rule() -> None:
    here = Path(__file__)
    named = {
        number for file in sources("tests") if file != here for number in named_in(file.read_text())
    }
    for file in sources("packages"):
        named |= named_in(split(file)[1])
    assert named == set(RULES)


@pytest.mark.parametrize("number", RULES)
def test_the_page_says_what_the_rule_is(number: str) -> None:
    assert re.search(rf"^{number}\. \*\*.+\*\*", (ROOT / "docs/protocol.md").read_text(), re.M)
