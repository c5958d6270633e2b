"""The prose of the repository is plain English: docs/style.md, as far as a pattern can tell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.plain_english import RULES, Text, find, read

ROOT = Path(__file__).parents[3]
# It shows each tic as an example.
STYLE = "docs/style.md"
SUFFIXES = {"md", "py", "pyi", "rs", "lua", "sh", "toml", "yaml", "yml"}


def sources() -> list[str]:
    """The files with prose: the tracked ones and those that are about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode:
        pytest.skip("this is not a repository")
    return [name for name in listed.stdout.splitlines() if is_read(name)]


def is_read(name: str) -> bool:
    file = ROOT / name
    if name == STYLE or not file.is_file():
        return False
    if file.suffix:
        return file.suffix[1:] in SUFFIXES
    if file.name == "Dockerfile":
        return True
    with file.open("rb") as opened:
        return opened.readline().rstrip().endswith((b"bash", b"/sh"))


@pytest.fixture(scope="module")
def tics() -> dict[str, list[str]]:
    """The tics by file, each as a line for the writer."""
    found = {}
    for name in sources():
        source = (ROOT / name).read_text()
        found[name] = [
            f"{name}:{tic.line}: {tic.words!r}: write {RULES[tic.rule].hint}"
            for text in read(name, source)
            for tic in find(text)
        ]
    return found


def test_prose_has_no_tics(tics: dict[str, list[str]]) -> None:
    assert len(tics) > 400
    assert [line for lines in tics.values() for line in lines] == [], "docs/style.md has the rules"


@pytest.mark.parametrize("name", RULES)
def test_each_rule_tells_good_from_bad(name: str) -> None:
    rule = RULES[name]
    assert [tic.rule for tic in find(Text(1, rule.bad))] == [name]
    assert list(find(Text(1, rule.good))) == []


PAGE = """# Nobody

Waits so
many seconds.

`nobody` and

```
nobody
```
nobody
"""


@pytest.mark.parametrize(
    ("file", "source", "lines"),
    [
        ("page.md", PAGE, [1, 3, 11]),
        ("code.py", '"""Head: nobody."""\n\n# Comment of nobody.\nraise E("nobody")\n', [1, 3]),
        ("code.py", "def test_nobody_waits(): ...\ndef nobody(): ...\n", [1]),
        ("code.py", 'add("--flag", help="nobody")\nadd("nobody")\n', [1]),
        ("code.py", 'add(help=f"so {many} many")\nadd(help=f"so many {seconds}")\n', [2]),
        ("code.rs", '//! Waits so\n//! many seconds.\nlet x = "nobody"; // nobody\n', [1, 3]),
        ("code.rs", "#[test]\nfn nobody_waits() {}\nfn nobody() {}\n", [2]),
        ("code.lua", "-- nobody\nredis.call('nobody')\n", [1]),
        ("scripts/tool", "#!/bin/sh\n# nobody\necho nobody # nobody\n", [2, 3]),
        ("tool.toml", 'name = "nobody"  # nobody\n# nobody\n', [1, 2]),
        ("stack.yaml", "user: nobody\nrun:\n  # nobody\n  tasks: 1\n", [3]),
        ("docker/Dockerfile", "# nobody\nUSER nobody\n", [1]),
    ],
)
def test_only_prose_is_read(file: str, source: str, lines: list[int]) -> None:
    found = [tic.line for text in read(file, source) for tic in find(text)]
    assert sorted(found) == lines


def test_texts_of_help_are_read_wherever_they_are() -> None:
    source = (
        "import argparse\n"
        '_VERBS = {"pause": ("pause it", "also if it was paused")}\n'
        'parser = parser_of(prog, "Pauses queues.", "0, also if it was paused before")\n'
        'other = call("also if this is not help")\n'
    )
    tics = {(tic.line, tic.rule) for text in read("a.py", source) for tic in find(text)}
    assert tics == {(2, "also where"), (3, "also where")}
