"""The command line in a real process: exit codes, and one line on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fluxqueue_core import __version__
from fluxqueue_worker.options import Options, parse

APP = """
from fluxqueue import FluxQueue
fluxqueue = FluxQueue()
@fluxqueue.task()
def hello(): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "imports_missing.py").write_text("import app\nimport not_there\n")
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    return subprocess.run(
        [sys.executable, "-m", "fluxqueue_worker", *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ([], {}, "FLUXQUEUE_TASKS_MODULE_PATH"),
        (["-t", "nowhere"], {}, "there is no module 'nowhere'"),
        (["-t", "app", "-q", "mail"], {}, "it has tasks for 'default': hello"),
        (["-t", "app", "-r", "http://x"], {}, "http://"),
        (["-t", "app"], {"FLUXQUEUE_REDIS_URL": "nonsense"}, "redis://"),
        (["-t", "app", "-c", "0"], {}, "-c/--concurrency: '0' is not a whole number"),
        (
            ["-t", "app"],
            {"FLUXQUEUE_CONCURRENCY": "many"},
            "variable FLUXQUEUE_CONCURRENCY: 'many'",
        ),
        (["-t", "app", "--lease", "0.5"], {}, "--lease: '0.5'"),
        (["-t", "app", "--drain-timeout", "nan"], {}, "--drain-timeout: 'nan'"),
        (["-t", "app", "--drain-timeout", "soon"], {}, "--drain-timeout: 'soon'"),
        (["-t", "app"], {"FLUXQUEUE_SAVE_DEAD_TASKS": "maybe"}, "FLUXQUEUE_SAVE_DEAD_TASKS"),
        (["-t", "app", "-q", "a,,b"], {}, "empty queue name"),
        (["-t", "app", "-q", "a{b\nforged"], {}, "-q/--queue"),
        (["-t", "app", "--namespace", "a:b"], {}, '--namespace: the namespace "a:b" has the'),
        (["-t", "app", "--namespace", ""], {}, "--namespace: must not be empty"),
        (["-t", "app", "--health-port", "65536"], {}, "--health-port: '65536' is not a port"),
        (["-t", "app", "--log-level", "loud"], {}, "debug, info, warning, error"),
        (["-t", "app", "--log-for", "json"], {}, "--log-for"),
        (["-t", "app", "extra"], {}, "extra"),
        (["-t", "app", "-c", "1000000"], {}, "-c/--concurrency: '1000000'"),
        (["-t", "app", "-c", "9" * 30], {}, "a whole number from 1 to 10000"),
        (["-t", "app", "--lease", "1e300"], {}, "--lease: '1e300'"),
        (["-t", "app", "--drain-timeout", "inf"], {}, "--drain-timeout: 'inf'"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    folder: Path, arguments: list[str], variables: dict[str, str], expected: str
) -> None:
    result = run(folder, *arguments, **variables)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("fluxqueue-worker: ")
    assert expected in result.stderr


def test_a_bad_url_does_not_show_its_password(folder: Path) -> None:
    result = run(folder, "-t", "app", "-r", "redis://user:secret@host:99999/0")
    assert result.returncode == 2
    assert "secret" not in result.stderr


def test_an_error_in_the_module_shows_its_own_traceback(folder: Path) -> None:
    result = run(folder, "-t", "imports_missing")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'imports_missing.py", line 2' in lines[1]
    assert lines[-1] == "ModuleNotFoundError: No module named 'not_there'"
    assert "fluxqueue_worker" not in result.stderr


@pytest.mark.parametrize("command", ["fluxqueue-worker", "fluxqueue start"])
def test_both_commands_are_the_worker(folder: Path, command: str) -> None:
    script, *subcommand = command.split()
    result = subprocess.run(
        [Path(sys.executable).parent / script, *subcommand, "-t", "nowhere"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f"{command}: there is no module 'nowhere'")


def test_the_worker_says_its_version(folder: Path) -> None:
    result = run(folder, "--version")
    assert (result.returncode, result.stdout) == (0, f"fluxqueue-worker {__version__}\n")


def test_help_names_every_variable(folder: Path) -> None:
    result = run(folder, "--help")
    assert result.returncode == 0
    for name in (
        "CONCURRENCY",
        "REDIS_URL",
        "TASKS_MODULE_PATH",
        "QUEUE",
        "SAVE_DEAD_TASKS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "DRAIN_TIMEOUT",
        "LEASE",
        "UNKNOWN_TASK_GRACE",
        "TIMEOUT_GRACE",
        "PROCESSES",
        "MAX_TASKS",
        "MAX_RSS",
        "MAX_STUCK",
        "RELOAD",
        "RELOAD_DIR",
        "HEALTH_PORT",
        "HEALTH_HOST",
    ):
        assert f"FLUXQUEUE_{name}" in result.stdout
    assert "suspects" not in result.stdout


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("FLUXQUEUE_"):
            monkeypatch.delenv(name)


def test_the_defaults(no_variables: None) -> None:
    assert parse(["-t", "app"], "x") == Options(
        concurrency=4,
        redis_url=None,
        namespace=None,
        tasks_modules=("app",),
        queues=("default",),
        save_dead_tasks=True,
        log_format="auto",
        log_level="info",
        drain_timeout=30.0,
        lease=10.0,
        unknown_task_grace=300.0,
        timeout_grace=5.0,
        processes=1,
        max_tasks=0,
        max_rss=0,
        max_stuck=0,
        reload=False,
        reload_dirs=(".",),
        health_host="127.0.0.1",
        health_port=0,
        parent=None,
        process_position=None,
        folder=os.getcwd(),
    )


def test_a_flag_wins_over_a_variable_and_that_over_the_default(
    no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXQUEUE_CONCURRENCY", "7")
    monkeypatch.setenv("FLUXQUEUE_TASKS_MODULE_PATH", "app")
    monkeypatch.setenv("FLUXQUEUE_SAVE_DEAD_TASKS", "no")
    monkeypatch.setenv("FLUXQUEUE_QUEUE", "a, b,a")
    monkeypatch.setenv("FLUXQUEUE_LEASE", "")
    options = parse([], "x")
    assert (options.concurrency, options.save_dead_tasks, options.lease) == (7, False, 10.0)
    assert options.queues == ("a", "b")
    options = parse(["-c", "2", "--save-dead-tasks", "-q", "c"], "x")
    assert (options.concurrency, options.save_dead_tasks) == (2, True)
    assert options.queues == ("c",)


def test_modules_and_queues_may_be_given_several_times_and_by_commas(no_variables: None) -> None:
    options = parse(["-t", "a", "-q", "x,y", "--tasks-module-path", "b,c.py", "-q", "z"], "x")
    assert options.tasks_modules == ("a", "b", "c.py")
    assert options.queues == ("x", "y", "z")


def test_a_lane_takes_its_parents_options_over(
    no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "-t app -c 9 -q a,b -r redis://:secret@h/1 --no-save-dead-tasks --lease 3.5"
    arguments += " --namespace shop"
    parent = parse([*arguments.split(), "--log-format", "json", "--health-port", "80"], "x")
    for name, value in parent.lane_environment("b").items():
        if name.startswith("FLUXQUEUE_"):
            monkeypatch.setenv(name, value)
    child = parse(["--suspects-lane=123"], "x")
    assert child.parent == 123
    assert child.health_port == 0  # the port is the parent's
    assert (child.queues, child.concurrency) == (("b",), 1)
    same = ("redis_url", "tasks_modules", "save_dead_tasks", "lease", "log_format", "log_level")
    for name in (*same, "drain_timeout", "unknown_task_grace"):
        assert getattr(child, name) == getattr(parent, name)


def test_the_environment_of_a_lane_has_every_setting(
    no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/home/app", "FLUXQUEUE_PROCESSES": "3"})
    arguments = "-t app -c 9 -q a,b --no-save-dead-tasks --lease 3.5 --max-tasks 7"
    assert parse(arguments.split(), "x").lane_environment("b") == {
        "HOME": "/home/app",
        "FLUXQUEUE_CONCURRENCY": "1",
        "FLUXQUEUE_TASKS_MODULE_PATH": "app",
        "FLUXQUEUE_QUEUE": "b",
        "FLUXQUEUE_SAVE_DEAD_TASKS": "no",
        "FLUXQUEUE_LOG_FORMAT": "auto",
        "FLUXQUEUE_LOG_LEVEL": "info",
        "FLUXQUEUE_DRAIN_TIMEOUT": "30.0",
        "FLUXQUEUE_LEASE": "3.5",
        "FLUXQUEUE_UNKNOWN_TASK_GRACE": "300.0",
        "FLUXQUEUE_TIMEOUT_GRACE": "5.0",
        "FLUXQUEUE_PROCESSES": "1",
        "FLUXQUEUE_MAX_TASKS": "0",
        "FLUXQUEUE_MAX_RSS": "0",
        "FLUXQUEUE_MAX_STUCK": "1",
        "FLUXQUEUE_RELOAD": "no",
        "FLUXQUEUE_RELOAD_DIR": ".",
        "FLUXQUEUE_HEALTH_PORT": "0",
        "FLUXQUEUE_HEALTH_HOST": "127.0.0.1",
    }


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh"]
        + [sys.executable, "-m", "fluxqueue_worker", "-t", "app"],
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("the working directory has been deleted; start the worker in another one")
