"""A worker's program that no package has is named by an environment variable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fluxqueue_bench.peers import comparison
from fluxqueue_bench.peers.library import Library, all_libraries

FORM = """
environment = "other"
packages = []

[[workers]]
name = "always"
commands = [["other", "-r", "$BENCH_URL"]]

[[workers]]
name = "where it was built"
needs = "BENCH_OTHER"
commands = [["$BENCH_OTHER", "-r", "$BENCH_URL", "$BENCH_UNKNOWN"]]
idle = true
"""


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "library.toml").write_text(FORM)
    return Library.load(tmp_path)


def workers(library: Library) -> list[tuple[str, str]]:
    found = [(measured.group, measured.name) for measured in comparison.measures(library)]
    return [(group, name) for group, name in found if group != "Enqueue, compared"]


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_its_settings_are_left_out(
    library: Library, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("BENCH_OTHER", raising=False)
    if value is not None:
        monkeypatch.setenv("BENCH_OTHER", value)
    assert workers(library) == [("Worker, compared", "always")]
    assert [settings.available for settings in library.workers] == [True, False]


def test_with_the_variable_all_are_measured(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_OTHER", "/opt/other")
    assert workers(library) == [
        ("Worker, compared", "always"),
        ("Worker, compared", "where it was built"),
        ("Idle, compared", "where it was built"),
    ]


def test_the_interpreter_of_a_library_is_on_path(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.interpreter == sys.executable
    (tmp_path / "library.toml").write_text('python = "python9.9"\n' + FORM)
    other = Library.load(tmp_path)
    assert other.interpreter is None
    (tmp_path / "python9.9").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert other.interpreter == str(tmp_path / "python9.9")


def test_the_words_of_a_command_name_variables(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_OTHER", "/opt/other")
    url = "redis://127.0.0.1:1"
    variables = library.variables(url, Path("records"), {})
    (command,) = library.workers[1].words(variables)
    assert command == ["/opt/other", "-r", url, "$BENCH_UNKNOWN"]
    # An absolute path is not looked for among the environment's commands.
    assert str(library.binaries / command[0]) == "/opt/other"


def test_a_program_of_a_librarys_own_commands_is_one_that_it_needs() -> None:
    for settings in (settings for library in all_libraries() for settings in library.workers):
        program = settings.commands[0][0]
        assert program.startswith("$") == (settings.needs is not None)
        assert settings.needs is None or program == f"${settings.needs}"
