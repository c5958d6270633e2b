"""docs/protocol.md and the code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fluxqueue_core

ROOT = Path(__file__).parents[3]
CORE = ROOT / "packages/fluxqueue-core-rs"
LUA = CORE / "python/fluxqueue_core/lua"
OPTS = (CORE / "src/message/opts.rs").read_text()
PAGE = (ROOT / "docs/protocol.md").read_text()
KEYS_OF_CLIENTS = {"client_keys", "unique_keys"}


def code(lua: str) -> str:
    """Lua without its comments and strings."""
    return re.sub(r"--[^\n]*|'[^'\n]*'", " ", lua)


def defined(part: str) -> set[str]:
    """The names that a part defines for the parts that follow."""
    text = code(part)
    groups = re.findall(r"^local (?!function)([\w, \n]+?) =", text, re.MULTILINE)
    names = {name for group in groups for name in re.findall(r"\w+", group)}
    return names | set(re.findall(r"^local function (\w+)", text, re.MULTILINE))


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its two head lines."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_table_of_keys_is_the_keys_of_the_code() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in table("Keys")}
    assert documented == {kind: fluxqueue_core.key(kind, "q", "<c>") for kind in documented}
    assert set(documented) == set(fluxqueue_core.key_kinds())


def test_lua_names_the_keys_in_the_order_in_which_rust_passes_them() -> None:
    text = (LUA / "lib/keys.lua").read_text()
    [(names, most)] = re.findall(
        r"^local ([A-Z_,\s]+) = unpack\(KEYS, 1, (\d+)\)", text, re.MULTILINE
    )
    in_lua = re.split(r",\s+", names)
    assert len(in_lua) <= int(most)
    of_queue = fluxqueue_core.script_keys("sweep", "q")
    of_consumer = fluxqueue_core.script_keys("exchange", "q", "<c>")
    of_life = fluxqueue_core.script_keys("bury", "q", "<c>")
    assert of_consumer[: len(of_queue)] == of_queue
    assert of_life[: len(of_consumer)] == of_consumer
    kinds = [key.split("}:", 1)[1].upper().replace(":", "_") for key in of_life]
    assert in_lua == [f"OWN_{kind[:-4]}" if kind.endswith("_<C>") else kind for kind in kinds]


def test_every_script_is_made_of_the_parts_that_it_needs_and_no_others() -> None:
    parts = {path.stem: path.read_text() for path in (LUA / "lib").glob("*.lua")}
    used = set()
    for name in fluxqueue_core.script_names():
        text = fluxqueue_core.script(name)
        made_of = sorted(
            (part for part in parts if parts[part] in text), key=lambda p: text.index(parts[p])
        )
        for part in made_of:
            # A client's script fails at `maxmemory`; `enqueue` names its own keys.
            head = "#!lua flags=allow-oom\n" + parts["keys"]
            others = dict.fromkeys(("cancel", "find", "search", "tick"), parts["keys"])
            others |= {"enqueue": "", "enqueue_unique": "", "schedule": parts["periodic_keys"]}
            others |= {"limit_rules": parts["clock"]}
            head = others.get(name, head)
            assert text.startswith(head)
            _, rest = text.split(parts[part])
            # A later part uses something of it, and all that it needs precedes it. `one_call`
            # only ends the script for the usual call.
            of_use = defined(parts[part]) & set(re.findall(r"\w+", code(rest)))
            assert of_use or part == "one_call", (name, part)
            needs = re.search(r"^-- Needs (.+?)\.", parts[part], re.MULTILINE)
            needed = set(needs[1].split(", ")) if needs else set()
            if "keys" in needed and "keys" not in made_of:
                needed = needed - {"keys"} | KEYS_OF_CLIENTS & set(made_of)
            assert needed <= set(made_of[: made_of.index(part)]), (name, part)
        everything = {d for part in parts.values() for d in defined(part)}
        here = defined((LUA / f"{name}.lua").read_text())
        here |= {d for part in made_of for d in defined(parts[part])}
        assert set(re.findall(r"(?<![.\w])\w+", code(text))) & everything <= here, name
        used |= set(made_of)
    assert used == set(parts)


def test_no_two_parts_define_the_same_name() -> None:
    # A script names its keys by one of three parts.
    parts = [path for path in (LUA / "lib").glob("*.lua") if path.stem not in KEYS_OF_CLIENTS]
    names = [d for path in parts for d in defined(path.read_text())]
    assert sorted(names) == sorted(set(names))


def test_the_table_of_scripts_is_the_folder_of_scripts() -> None:
    files = {path.stem for path in LUA.glob("*.lua")}
    documented = {row[0].strip("`") for row in table("Scripts")}
    assert documented == files == set(fluxqueue_core.script_names())


def test_every_script_has_its_contract_in_the_header() -> None:
    for path in LUA.glob("*.lua"):
        text = path.read_text()
        assert text.startswith(f"-- {path.stem}: "), path.name
        assert "-- Returns " in text and "-- Complexity " in text, path.name
    for path in (LUA / "lib").glob("*.lua"):
        assert path.read_text().startswith(f"-- {path.stem}: "), path.name


def test_the_table_of_message_fields_is_what_rust_reads() -> None:
    rust = (CORE / "src/message/parse.rs").read_text()
    parts = rust.split("struct Parts<'a> {", 1)[1].split("\n}", 1)[0]
    fields = set(re.findall(r"^\s+(\w+): ", parts, re.MULTILINE))
    # The id is read by its place, not by its name.
    assert {row[0].strip("`") for row in table("Message")} == fields | {"id"}


def test_the_table_of_options_is_what_rust_reads() -> None:
    rust = OPTS.split("fn read(", 1)[1].split("fn ", 1)[0]
    read = re.findall(r'^\s+"([a-z])" => ', rust, re.MULTILINE)
    assert (
        [row[0].strip("`") for row in table("Options")]
        == read
        == ["e", "p", "x", "r", "u", "l", "s", "b"]
    )


def test_the_example_message_is_one() -> None:
    example = PAGE.split("```\n{", 1)[1].split("\n", 1)[0]
    parts = fluxqueue_core.parse_message(b"{" + example.encode())
    assert (parts["deliveries"], parts["retries"], parts["name"]) == (1, 2, "send_email")
    assert list(json.loads("{" + example))[:2] == ["v", "id"]


def test_the_counters_are_those_of_the_scripts() -> None:
    lua = "".join(path.read_text() for path in LUA.rglob("*.lua"))
    counters = set(re.findall(r"'HINCRBY', STATS, '(\w+)'", lua))
    # The ends without an attempt are counted by `finish`, under their names in Rust.
    counters |= set(re.findall(r'Condemned::\w+ => "(\w+)"', OPTS))
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
