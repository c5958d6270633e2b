"""The lines that commands print with --json have the fields that docs/commands.md lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fluxqueue_core.strikes import Strike
from support.operator_commands import crowd, objects, task_id
from support.scripts import Scripts

PAGE = (Path(__file__).parents[2] / "docs/commands.md").read_text()
# In this order: the changes come last.
RUNS: dict[str, list[str]] = {
    "queues": ["queues"],
    "workers": ["workers"],
    "tasks": ["tasks", "-q", "q"],
    "search": ["search", "--task", "n"],
    "task ID": ["task", task_id(1)],
    "dead list": ["dead", "list", "-q", "q"],
    "dead show": ["dead", "show", "-q", "q", task_id(1)],
    "watch": ["watch", "--interval", "0.1", "--count", "2"],
    "doctor": ["doctor", "--seconds", "0"],
    "dead groups": ["dead", "groups", "-q", "q"],
    "pause": ["pause", "q"],
    "audit": ["audit", "q"],
    "strike add": ["strike", "add", "-q", "q", "n"],
    "strike list": ["strike", "list", "-q", "q"],
    "strike lift": ["strike", "lift", "-q", "q", Strike("n").id],
    "job start": ["job", "start", "replay", "dead", "-q", "q", "--all", "--dry-run"],
    "job list": ["job", "list", "-q", "q"],
    "resume": ["resume", "q"],
    "cancel --all": ["cancel", "-q", "q", "--all", "--dry-run"],
    "cancel ID": ["cancel", "-q", "q", task_id(4)],
    "task ID --run-now": ["task", task_id(6), "--run-now"],
    "task ID --delete": ["task", task_id(6), "--delete"],
    "task ID --move": ["task", task_id(5), "--move", "other"],
    "dead replay": ["dead", "replay", "-q", "q", task_id(1)],
    "dead delete": ["dead", "delete", "-q", "q", task_id(2)],
    "purge": ["purge", "q", "dead"],
}


def table() -> dict[str, tuple[set[str], set[str]]]:
    """The fields that are always there, and those that may be, by command."""
    section = PAGE.split("\n## Fields\n", 1)[1].split("\n## ", 1)[0]
    found: dict[str, tuple[set[str], set[str]]] = {}
    for names, fields in re.findall(r"^\| (`.*?) \| (`.*?|as `.*?) \|$", section, re.MULTILINE):
        always = set(re.findall(r"`(\w+)`(?!\?)", fields))
        some = set(re.findall(r"`(\w+)`\?", fields))
        if fields.startswith("as "):
            always, some = found[re.findall(r"`([^`]+)`", fields)[0]]
        last = ", last line" if names.endswith(", last line") else ""
        for name in re.findall(r"`([^`]+)`", names):
            found[name + last] = always, some
    return found


def test_the_table_has_all_of_them() -> None:
    rows = table()
    assert set(rows) >= RUNS.keys() and len(rows) > len(RUNS)
    assert rows["search"] == rows["tasks"] and "cursor" in rows["tasks, last line"][0]


def test_each_line_has_the_fields_of_the_table(scripts: Scripts, redis_url: str) -> None:
    crowd(scripts)
    rows = table()
    for name, words in RUNS.items():
        lines: list[Any] = objects(redis_url, *words, code=1 if name == "doctor" else 0)
        assert lines, name
        if name in ("tasks", "search"):
            assert lines.pop().keys() == rows[f"{name}, last line"][0]
        always, some = rows[name]
        for line in lines:
            assert always <= line.keys() <= always | some, name
