"""The parts of a supervisor that need no process: cores, limits, pauses, metrics."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_worker.cores import cpu_quota, usable_cores
from fluxqueue_worker.limits import MIB, Limits, max_tasks, resident_bytes
from fluxqueue_worker.options import Options, parse
from fluxqueue_worker.process import Process
from fluxqueue_worker.process_health import labelled, merged
from fluxqueue_worker.supervised import CUT, UP, ProcessPosition, SupervisorLink
from support.waiting import wait_until


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Options:
    for name in list(os.environ):
        if name.startswith("FLUXQUEUE_"):
            monkeypatch.delenv(name)
    return parse(["-t", "app"], "x")


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({}, None),
        ({"a/b": "max 100000"}, None),
        ({"a/b": "150000 100000"}, 1.5),
        ({"a/b": "max 100000", "a": "50000 100000"}, 0.5),
        ({"a/b": "400000 100000", "": "200000 100000"}, 2.0),
        ({"a/b": "nonsense"}, None),
    ],
)
def test_the_quota_of_the_control_group(
    tmp_path: Path, quotas: dict[str, str], cores: float | None
) -> None:
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/old\n0::/a/b\n")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    for group, quota in quotas.items():
        (root / group / "cpu.max").write_text(quota + "\n")
    assert cpu_quota(own, root) == cores
    usable = usable_cores(own, root)
    allowed = len(os.sched_getaffinity(0))
    assert usable == (allowed if cores is None else max(1, min(allowed, -int(-cores // 1))))


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "absent", tmp_path) == len(os.sched_getaffinity(0))


def test_several_processes_and_limits_need_a_supervisor(options: Options) -> None:
    assert not options.wants_supervisor
    for name in ("processes", "max_tasks", "max_rss", "max_stuck"):
        changed: dict[str, Any] = {name: 2}
        wants = dataclasses.replace(options, **changed)
        assert wants.wants_supervisor
        assert not dataclasses.replace(wants, parent=1).wants_supervisor
        assert not dataclasses.replace(
            wants, process_position=ProcessPosition(0, 1, None)
        ).wants_supervisor


def test_auto_is_the_number_of_cores() -> None:
    assert parse(["-t", "app", "--processes", "auto"], "x").processes == usable_cores()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_processes(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["-t", "app", "--processes", value], "x")
    assert "is not a whole number from 1 to 1000, nor auto" in capsys.readouterr().err


def test_one_process_ends_after_exactly_max_tasks_several_not_at_once(
    options: Options,
) -> None:
    assert max_tasks(options) is None
    assert max_tasks(dataclasses.replace(options, max_tasks=1000)) == 1000
    several = dataclasses.replace(options, max_tasks=1000, processes=4)
    drawn = {max_tasks(several) for _ in range(200)}
    assert drawn <= set(range(900, 1001))
    assert len(drawn) > 10


class Used:
    """The usage that limits ask for."""

    exhausted = False
    found: list[int]

    def __init__(self) -> None:
        self.found = []
        self.mib = 10

    def stuck(self) -> list[int]:
        return self.found

    def rss(self) -> int:
        return self.mib * MIB


def test_limits_that_are_reached(options: Options) -> None:
    used: Any = Used()
    now = 0.0
    changed = dataclasses.replace(options, max_tasks=7, max_rss=100, max_stuck=2)
    limits = Limits(changed, used, used, used.rss, lambda: now)
    assert limits.reached() is None
    used.mib = 100
    assert limits.reached() is None  # not looked at again so soon
    now = 1.0
    assert limits.reached() == "100 MiB of memory"
    used.found = [1, 2]
    assert limits.reached() == "2 stuck tasks"
    used.exhausted = True
    assert limits.reached() == "7 tasks"
    assert Limits(options, used, used, used.rss).reached() is None


def test_a_memory_limit_below_what_the_worker_begins_with(options: Options) -> None:
    used: Any = Used()
    with pytest.raises(ConfigurationError, match=r"--max-rss 10: the worker has 10 MiB before"):
        Limits(dataclasses.replace(options, max_rss=10), used, used, used.rss)
    assert resident_bytes() > 5 * MIB


def test_a_link_reports_what_happens_at_the_supervisors_end() -> None:
    ours, theirs = socket.socketpair()
    position = ProcessPosition(3, theirs.detach(), None)
    assert ProcessPosition.parse(str(position)) == position
    link = SupervisorLink(position)
    assert not link.read()
    link.up()
    assert ours.recv(9) == UP
    ours.send(CUT)
    assert (link.read(), link.cut, link.ended) == (False, True, False)
    ours.close()
    assert link.read() and link.ended
    link.up()  # does not raise, though nothing reads it


@pytest.mark.parametrize("health_port", [0, 1])
def test_no_python_runs_between_fork_and_exec(
    options: Options, lines: Any, health_port: int
) -> None:
    """Whatever other threads hold, the child does not wait for it."""
    hooks: list[str] = []
    os.register_at_fork(
        before=lambda: hooks.append("before"),
        after_in_parent=lambda: hooks.append("after"),
    )
    # The hooks see a fork that goes on in Python.
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert hooks == ["before", "after"]
    changed = dataclasses.replace(options, health_port=health_port)
    process = Process(0, changed, ["--version"], lines.logger())
    process.start()
    assert (process.health_port is not None) == bool(health_port)
    assert process.pid is not None and process.link is not None
    wait_until(lambda: process.reap() is not None)
    process.link.close()
    assert hooks == ["before", "after"]


def test_pauses_between_crashes_double_and_begin_again(options: Options, lines: Any) -> None:
    now = 100.0
    process = Process(0, options, [], lines.logger(), lambda: now)
    for _ in range(8):
        process.report(1)
    pauses = [line["restart_in"] for line in lines.named("process.died")]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert process.start_at == 130.0
    # One that has worked for a while has not crashed in a loop.
    process.was_up = True
    now = 200.0
    process.report(-9)
    assert lines[-1]["restart_in"] == 0.5
    assert lines[-1]["signal"] == "SIGKILL"
    process.report(0)
    assert process.start_at == now
    # One that was never up has not drained, whatever it says.
    process.was_up = False
    process.report(0)
    process.report(0)
    assert [line["restart_in"] for line in lines.named("process.died")[-2:]] == [0.5, 1.0]
    assert process.start_at == now + 1.0


def test_metrics_of_several_processes_are_one_text() -> None:
    first = '# HELP a Some.\n# TYPE a counter\na_total 1.0\n# TYPE b gauge\nb{q="x"} 2.0\n'
    second = "# HELP a Some.\n# TYPE a counter\na_total 5.0\n# TYPE c gauge\nc{} 3.0\n"
    assert merged({"0": first, "1": second}).splitlines() == [
        "# HELP a Some.",
        "# TYPE a counter",
        'a_total{process="0"} 1.0',
        'a_total{process="1"} 5.0',
        "# TYPE b gauge",
        'b{process="0",q="x"} 2.0',
        "# TYPE c gauge",
        'c{process="1"} 3.0',
    ]
    assert labelled("{}", "0") == "{}"
