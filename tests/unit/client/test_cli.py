"""The command `fluxqueue` and its subcommands."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

import fluxqueue_core
import pytest
from fluxqueue import cli


def command(argv: list[str], prog: str) -> int:
    print(prog, *argv)
    return 7


def installed(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = [EntryPoint(name, value, cli.GROUP) for name, value in values.items()]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: entries if group == cli.GROUP else []
    )


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(capsys: Any, flag: str) -> None:
    assert cli.main([flag]) == 0
    assert capsys.readouterr().out == f"fluxqueue {fluxqueue_core.__version__}\n"


def test_a_subcommand_gets_its_arguments_and_its_name(monkeypatch: Any, capsys: Any) -> None:
    installed(monkeypatch, extra=f"{__name__}:command")
    assert cli.main(["extra", "-t", "--help"]) == 7
    assert capsys.readouterr().out == "fluxqueue extra -t --help\n"


def test_our_own_get_them_as_well(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["start", "--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"fluxqueue start {fluxqueue_core.__version__}\n"


def test_our_own_are_the_entry_points_that_the_packages_have() -> None:
    found = {entry.name: entry.value for entry in metadata.entry_points(group=cli.GROUP)}
    assert {name: f"{own.module}:main" for name, own in cli.OWN.items()} == found
    for name, own in cli.OWN.items():
        assert metadata.distribution(own.package).entry_points.select(name=name)


@pytest.mark.parametrize("name", sorted(cli.OWN))
def test_our_own_run_without_what_finds_entry_points(name: str) -> None:
    # It would stay in memory as long as the worker, the supervisor or the scheduler.
    code = (
        "import sys\n"
        "from fluxqueue import cli\n"
        "try:\n"
        f"    cli.main([{name!r}, '--help'])\n"
        "except SystemExit:\n"
        "    print('importlib.metadata' in sys.modules)"
    )
    path = "import sys; sys.path[:0] = " + repr(sys.path) + "\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_lists_what_is_installed_and_what_is_not(
    monkeypatch: Any, capsys: Any, flag: str
) -> None:
    # Values that can't be imported: the help must not need to.
    absent = "no.such.module:main"
    installed(monkeypatch, start=absent, dev=absent, completion=absent, extra="x:y")
    assert cli.main([flag]) == 0
    out = capsys.readouterr().out
    assert "\n  start       run a worker for the tasks of a module\n" in out
    assert "\n  dev         run Redis, scheduler and worker in one terminal\n" in out
    assert "\n  extra\n" in out
    assert "  scheduler " not in out
    missing = "fluxqueue-control fluxqueue-dashboard fluxqueue-scheduler"
    assert out.endswith(f"`pip install --no-index --find-links wheels {missing}`\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["start"], "`fluxqueue start` comes with fluxqueue-worker: run `scripts/wheels "),
        (["scheduler"], "`fluxqueue scheduler` comes with fluxqueue-scheduler: run `scripts/"),
        (["nonsense"], "no command 'nonsense'; the commands are: dev, extra"),
        (["--nonsense"], "no option '--nonsense'; the commands are: dev, extra"),
        (["\x1b[31m"], "no command '\\x1b[31m'"),
        (["dev"], "`fluxqueue dev` needs subprocess, which is not installed"),
        (["extra"], "`fluxqueue extra` needs no_such_module, which is not installed"),
    ],
)
def test_a_missing_command_or_package_is_one_line(
    monkeypatch: Any, capsys: Any, argv: list[str], said: str
) -> None:
    installed(monkeypatch, dev="fluxqueue.dev:main", extra="no_such_module:main")
    for name in ("start", "scheduler"):
        not_there = cli.OWN[name]._replace(module="no_such_package.cli")
        monkeypatch.setitem(cli.OWN, name, not_there)
    # `fluxqueue.dev` is there, and imports this.
    monkeypatch.delitem(sys.modules, "fluxqueue.dev", raising=False)
    monkeypatch.setitem(sys.modules, "subprocess", None)
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"fluxqueue: {said}")
    assert captured.err.count("\n") == 1


def test_without_a_command_it_is_a_wrong_use(capsys: Any) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().err.startswith("usage: fluxqueue COMMAND")


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fluxqueue {fluxqueue_core.__version__}\n"
