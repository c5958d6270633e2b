"""Source files stay small, and a Rust type stays in one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_LINES = 400
CORE = ROOT / "packages/fluxqueue-core-rs/src"
PRODUCT = [*ROOT.glob("packages/*/src"), *ROOT.glob("services/*/src"), CORE.parent / "python"]

# An inherent `impl`; `impl Trait for Type` may be anywhere.
IMPL = re.compile(r"^impl(?:<[^{]*?>)? (?:\w+::)*(\w+)(?:<[^{]*?>)? \{", re.MULTILINE)
TYPE = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum) (\w+)", re.MULTILINE)


def sources() -> list[Path]:
    found = [file for root in PRODUCT for file in root.rglob("*")]
    return [file for file in found if file.suffix in (".py", ".pyi", ".rs", ".lua")]


def homes(files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The types whose methods are in another file than the type, or in several.

    Args:
        files: name and text of each. A name may be that of several types: such a
            type counts only in the file that defines it.
    """
    texts = dict(files)
    defined: dict[str, list[str]] = {}
    for name, text in texts.items():
        for kind in TYPE.findall(text):
            defined.setdefault(kind, []).append(name)
    apart: dict[str, list[str]] = {}
    for name, text in texts.items():
        for kind in set(IMPL.findall(text)):
            if name not in defined.get(kind, [name]):
                apart.setdefault(kind, []).append(name)
    return apart


def test_there_are_product_files() -> None:
    assert len(sources()) > 200


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_product_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MOST_LINES
    assert file.stem != "utils"


def test_methods_in_another_file_are_found() -> None:
    files = {
        "driver.rs": "pub(super) struct Driver<'a> {}\nimpl<'a> Driver<'a> {\n}\n",
        "answers.rs": "struct Answer;\nimpl Driver<'_> {\n}\nimpl Display for Driver<'_> {\n}\n",
        "state.rs": "enum State {}\nimpl State {\n}\n",
        "other.rs": "struct State;\nimpl State {\n}\n",
    }
    assert homes(files.items()) == {"Driver": ["answers.rs"]}


def test_a_rust_type_is_in_one_file() -> None:
    files = [(str(file.relative_to(CORE)), file.read_text()) for file in CORE.rglob("*.rs")]
    assert len(files) > 80
    assert homes(files) == {}
