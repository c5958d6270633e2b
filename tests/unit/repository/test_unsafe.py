"""Every `unsafe` in Rust is argued where it stands, and they are few."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CORE = ROOT / "packages/fluxqueue-core-rs"
FILES = sorted([*CORE.glob("src/**/*.rs"), *CORE.glob("tests/*.rs")])
_UNSAFE = re.compile(r"\bunsafe\s*(\{|impl\b)")


def unargued(text: str) -> list[int]:
    """The numbers of the lines with an `unsafe` that no SAFETY comment precedes."""
    lines = text.splitlines()
    bad = []
    for at, line in enumerate(lines):
        if not _UNSAFE.search(line.partition("//")[0]):
            continue
        # The comment is above the statement, or above the line.
        above = at - 1
        while above >= 0 and not lines[above].strip().startswith("//"):
            if above < at - 3 or lines[above].strip().endswith((";", "{", "}")):
                break
            above -= 1
        block = []
        while above >= 0 and lines[above].strip().startswith("//"):
            block.append(lines[above])
            above -= 1
        if not any("SAFETY:" in comment for comment in block):
            bad.append(at + 1)
    return bad


def test_each_is_argued() -> None:
    assert len(FILES) > 50
    found = {str(file.relative_to(CORE)): unargued(file.read_text()) for file in FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_only_these_files_have_any() -> None:
    """System calls that the standard library does not have; one file more is a
    decision."""
    have = {
        str(file.relative_to(CORE))
        for file in FILES
        if any(_UNSAFE.search(line.partition("//")[0]) for line in file.read_text().splitlines())
    }
    assert have <= {
        "src/alarm.rs",
        "src/portable_alarm.rs",
        "src/fork.rs",
        "src/connection/connect.rs",
        "src/connection/spin.rs",
        "src/consumer/clock.rs",
        "src/consumer/poll.rs",
        "src/consumer/portable_poll.rs",
        "src/consumer/wake.rs",
        "src/waiting/listener.rs",
        "src/python/functions.rs",
        "src/python/interpreter.rs",
        "src/timeouts/guard.rs",
        "src/timeouts/interrupt.rs",
        "tests/fuzz.rs",
    }


def test_an_unsafe_block_without_an_argument_is_found() -> None:
    assert unargued("let x = 1;\nlet n = unsafe { call() };") == [2]
    assert unargued("// SAFETY: fine.\nlet n = unsafe { call() };") == []
    assert unargued("// SAFETY: fine.\nlet n =\n    unsafe { call() };") == []
