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


SUFFIXES = (".py", ".pyi", ".rs", ".lua", ".html", ".css", ".js")


def sources() -> list[Path]:
    found = [file for root in PRODUCT for file in root.rglob("*")]
    # A copied library is in `static/` as it was published.
    return [file for file in found if file.suffix in SUFFIXES and ".min." not in file.name]


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


def test_the_files_of_every_package_are_checked() -> None:
    folders = {file.parent.relative_to(ROOT).as_posix() for file in sources()}
    assert len(sources()) > 400
    for package in [*ROOT.glob("packages/*"), *ROOT.glob("services/*")]:
        name = package.relative_to(ROOT).as_posix()
        assert any(folder.startswith(f"{name}/") for folder in folders), name
    core, control = "packages/fluxqueue-core-rs", "packages/fluxqueue-control/src/fluxqueue_control"
    pages = "services/dashboard/src/fluxqueue_dashboard"
    assert folders >= {
        *(f"{core}/src/message", f"{core}/python/fluxqueue_core/lua/lib"),
        f"{core}/python/fluxqueue_core/_core",
        *(control, f"{control}/aio", f"{control}/commands", f"{control}/doctor", f"{control}/top"),
        *(pages, f"{pages}/static", f"{pages}/templates"),
    }


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
