"""docs/protocol.md and the code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fluxqueue_core

ROOT = Path(__file__).parents[3]
CORE = ROOT / "packages/fluxqueue-core-rs"
PAGE = (ROOT / "docs/protocol.md").read_text()


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its two head lines."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_table_of_keys_is_the_keys_of_the_code() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in table("Keys")}
    assert documented == {kind: fluxqueue_core.key(kind, "q", "<c>") for kind in documented}
    assert set(documented) == set(fluxqueue_core.key_kinds())


def test_the_ten_keys_of_a_script_are_those_of_the_prelude() -> None:
    prelude = (CORE / "python/fluxqueue_core/lua/prelude.lua").read_text()
    names = re.findall(r"local ([A-Z_, ]+) = KEYS\[", prelude)
    in_prelude = [name for group in names for name in group.split(", ")]
    kinds = [key.split("}:", 1)[1] for key in fluxqueue_core.queue_keys("q")]
    assert in_prelude == [kind.upper().replace(":", "_") for kind in kinds]


def test_the_table_of_scripts_is_the_folder_of_scripts() -> None:
    files = {path.stem for path in (CORE / "python/fluxqueue_core/lua").glob("*.lua")}
    documented = {row[0].strip("`") for row in table("Scripts")}
    assert documented == files - {"prelude"} == set(fluxqueue_core.script_names())


def test_every_script_has_its_contract_in_the_header() -> None:
    for path in (CORE / "python/fluxqueue_core/lua").glob("*.lua"):
        text = path.read_text()
        if path.stem != "prelude":
            assert text.startswith(f"-- {path.stem}: "), path.name
            assert "-- Returns " in text and "-- Complexity " in text, path.name


def test_the_table_of_message_fields_is_what_rust_reads() -> None:
    rust = (CORE / "src/message/parse.rs").read_text()
    parts = rust.split("struct Parts<'a> {", 1)[1].split("\n}", 1)[0]
    fields = set(re.findall(r"^\s+(\w+): ", parts, re.MULTILINE))
    # The id is read by its place, not by its name.
    assert {row[0].strip("`") for row in table("Message")} == fields | {"id"}


def test_the_example_message_is_one() -> None:
    example = PAGE.split("```\n{", 1)[1].split("\n", 1)[0]
    parts = fluxqueue_core.parse_message(b"{" + example.encode())
    assert (parts["deliveries"], parts["retries"], parts["name"]) == (1, 2, "send_email")
    assert list(json.loads("{" + example))[:2] == ["v", "id"]


def test_the_counters_are_those_of_the_scripts() -> None:
    lua = "".join(p.read_text() for p in (CORE / "python/fluxqueue_core/lua").glob("*.lua"))
    counters = set(re.findall(r"'HINCRBY', STATS, '(\w+)'", lua))
    row = next(row for row in table("Keys") if row[0] == "`stats`")
    assert set(re.findall(r"`(\w+)`", row[3])) == counters


def test_the_errors_after_which_nothing_was_executed_are_those_of_the_driver() -> None:
    refusal = (CORE / "src/connection/refusal.rs").read_text()
    arms = re.findall(r'^\s+("[A-Z"| ]+") => Refusal::(\w+),$', refusal, re.MULTILINE)
    temporary = refusal.split("pub fn is_temporary", 1)[1].split("}", 1)[0]
    tried_again = {"NoScript", *re.findall(r"Refusal::(\w+)", temporary)}
    codes = [re.findall(r"[A-Z]+", arm) for arm, refused in arms if refused in tried_again]
    in_code = {code for of_arm in codes for code in of_arm}
    assert len(codes) == len(tried_again)
    sentence = PAGE.split("two seconds past", 1)[1].split("mean that nothing", 1)[0]
    assert set(re.findall(r"`([A-Z]+)`", sentence)) == in_code
