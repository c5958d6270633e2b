"""A setting is one field of a record: its flag, variable, default and text form."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any

import pytest
from fluxqueue_core.service.command_line import Parser
from fluxqueue_core.service.setting import (
    Setting,
    environment_of,
    setting,
    settings_of,
    whole_number,
    yes_or_no,
)
from fluxqueue_scheduler.options import Options as SchedulerOptions
from fluxqueue_worker.options import Options as WorkerOptions

RECORDS = [WorkerOptions, SchedulerOptions]


@dataclass(frozen=True)
class Example:
    pages: int = setting(
        Setting(
            flags=("-p", "--pages"),
            env="EXAMPLE_PAGES",
            default=3,
            parse=whole_number(1, 9),
            metavar="N",
            help="how many pages, 100% of them",
        )
    )
    loud: bool = setting(
        Setting(
            flags=("--loud",),
            env="EXAMPLE_LOUD",
            default=False,
            parse=yes_or_no,
            help="say more",
        )
    )
    note: str | None = setting(
        Setting(flags=("--note",), env="EXAMPLE_NOTE", default=None, parse=str, help="a note")
    )
    names: tuple[str, ...] = setting(
        Setting(
            flags=("-n", "--names"),
            env="EXAMPLE_NAMES",
            default=("x",),
            parse=lambda text: tuple(text.split(",")),
            help="some names",
        )
    )
    made: str = "by hand"


def parse(*argv: str) -> Example:
    parser = Parser("example")
    parser.add_settings(Example)
    return Example(**vars(parser.parse_args(argv)))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in settings_of(Example).values():
        monkeypatch.delenv(each.env, raising=False)


def test_one_field_gives_flag_variable_default_and_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse() == Example() == Example(pages=3, loud=False, note=None)
    monkeypatch.setenv("EXAMPLE_PAGES", "4")
    monkeypatch.setenv("EXAMPLE_LOUD", "yes")
    assert parse() == Example(pages=4, loud=True)
    assert parse("-p", "5", "--no-loud", "--note", "x") == Example(pages=5, loud=False, note="x")
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "how many pages, 100% of them (EXAMPLE_PAGES, default: 3)" in shown
    assert "say more (EXAMPLE_LOUD, default: no)" in shown
    assert "a note (EXAMPLE_NOTE)" in shown


def test_a_list_may_be_given_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("-n", "b,a", "--names", "c", "-na").names == ("b", "a", "c")
    monkeypatch.setenv("EXAMPLE_NAMES", "d,e")
    assert parse().names == ("d", "e")
    assert parse("-n", "b").names == ("b",)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_PAGES", "")
    assert parse().pages == 3


@pytest.mark.parametrize("changed", [Example(pages=7, loud=True, note="a b"), Example()])
def test_another_process_gets_the_same_record_by_its_environment(
    changed: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(changed).items():
        monkeypatch.setenv(name, value)
    assert parse() == changed


@pytest.mark.parametrize("record", RECORDS)
def test_no_flag_and_no_variable_is_used_twice(record: Any) -> None:
    rows = list(settings_of(record).values())
    flags = [flag for row in rows for flag in row.flags]
    assert len(rows) > 8
    assert len(set(flags)) == len(flags)
    assert len({row.env for row in rows}) == len(rows)


@pytest.mark.parametrize("record", RECORDS)
def test_a_default_has_a_text_that_its_parser_reads(record: Any) -> None:
    defaults = {each.name: each.default for each in fields(record)}
    for name, row in settings_of(record).items():
        assert row.default == defaults[name]
        if row.default not in (None, "", ()):
            assert row.parse(row.write(row.default)) == row.default


@pytest.mark.parametrize("columns", ["60", "120", "", "0", "wide", None])
def test_the_help_is_as_wide_as_argparse_makes_it(
    columns: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    ours, plain = Parser("x"), Parser("x", formatter_class=argparse.HelpFormatter)
    for parser in (ours, plain):
        parser.add_settings(WorkerOptions)
    assert ours.format_help() == plain.format_help()
