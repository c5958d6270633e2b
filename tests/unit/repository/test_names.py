"""Each type of the product has a name that no other type has."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUST = ROOT / "packages/fluxqueue-core-rs/src"
PYTHON = [
    *ROOT.glob("packages/*/src"),
    *ROOT.glob("packages/*/python"),
    *ROOT.glob("services/*/src"),
]

# The names that several types share, each with its reason.
RUST_TWINS: dict[str, str] = {}
PYTHON_TWINS = {
    "Middleware": "client and worker each wrap their own functions",
    "Options": "the settings of the program in whose package it is",
    "PeriodicTask": "fluxqueue-control shows the periodic task that a client has declared",
    "Servers": "the modules of fluxqueue_control.aio have the names of the sync ones",
    "Telemetry": "the telemetry of the program in whose package it is",
    "Tracing": "the middleware or the spans of the program in whose package it is",
    "Worker": "fluxqueue-control shows the worker that fluxqueue-worker runs",
}

_RUST_TYPE = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum) (\w+)", re.MULTILINE)


def rust_types(text: str) -> list[str]:
    return _RUST_TYPE.findall(text)


def python_classes(text: str) -> list[str]:
    """The public classes of a module. A class inside another one has that one's name too."""
    return [
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def twins(named: Iterable[tuple[Path, list[str]]]) -> dict[str, list[str]]:
    """The names that occur more than once, each with its files."""
    files = defaultdict(list)
    for path, names in named:
        for name in names:
            files[name].append(str(path))
    return {name: sorted(where) for name, where in files.items() if len(where) > 1}


def test_each_type_of_the_core_has_its_own_name() -> None:
    files = [
        (path.relative_to(RUST), rust_types(path.read_text()))
        for path in RUST.rglob("*.rs")
        if not path.stem.endswith("_tests")
    ]
    assert sum(len(names) for _, names in files) > 100
    found = twins(files)
    assert {name: where for name, where in found.items() if name not in RUST_TWINS} == {}
    assert sorted(found) == sorted(RUST_TWINS), "take these names off the list"


def test_each_public_class_has_its_own_name() -> None:
    files = [
        (path.relative_to(ROOT), python_classes(path.read_text()))
        for root in PYTHON
        for path in root.rglob("*.py")
    ]
    assert sum(len(names) for _, names in files) > 100
    found = twins(files)
    assert {name: where for name, where in found.items() if name not in PYTHON_TWINS} == {}
    assert sorted(found) == sorted(PYTHON_TWINS), "take these names off the list"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pub struct Call<F> {\n}\nenum Due { In(u64) }\n", ["Call", "Due"]),
        ("    pub(super) struct Inner;\n// a struct Comment\n", ["Inner"]),
        ("fn f() {}\nimpl State {}\n", []),
    ],
)
def test_structs_and_enums_are_read(text: str, names: list[str]) -> None:
    assert rust_types(text) == names


def test_public_classes_are_read() -> None:
    text = "class Page:\n    class Row: ...\nclass _Own: ...\ndef f():\n    class Local: ...\n"
    assert python_classes(text) == ["Page"]


def test_a_name_in_two_files_or_twice_in_one_is_a_twin() -> None:
    files = [(Path("a"), ["Page", "Row"]), (Path("b"), ["Page", "Call", "Call"])]
    assert twins(files) == {"Page": ["a", "b"], "Call": ["b", "b"]}


@pytest.mark.parametrize(
    ("other_meaning", "folder"),
    [
        (r"(?<!hash )(?<!hash_)slots?", "connection"),  # a worker's slot runs a task
        (r"(?<!hash )(?<!hash_)slots?", "enqueue"),
        (r"deliver(y|ies)", "enqueue"),  # a delivery is a lost worker; a route has a dispatch
        (r"bury", "consumer"),  # a consumer is buried; a task is made dead
    ],
)
def test_a_word_of_the_glossary_keeps_its_one_meaning(other_meaning: str, folder: str) -> None:
    word = re.compile(rf"\b{other_meaning}\b")
    files = list((RUST / folder).rglob("*.rs"))
    # Redis says "slot" in its own errors.
    found = {
        f"{path.relative_to(RUST)}: {line.strip()}"
        for path in files
        for line in path.read_text().splitlines()
        if word.search(line) and "rehashing of slot" not in line
    }
    assert len(files) > 5 and found == set()
