"""The suspects' lane: when a child starts, which lines report it, when it is idle."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fluxqueue_worker import suspects
from fluxqueue_worker.options import Options, parse
from support.worker_process import wait_until


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Of a parent whose child is the program `child` instead of a worker."""
    program = tmp_path / "child"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        "open('ran', 'a').write(' '.join([*sys.argv[1:], os.environ['FLUXQUEUE_QUEUE']]) + '\\n')\n"
        "if not os.path.exists('code'): time.sleep(60)\n"
        "code = int(open('code').read())\n"
        "os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)\n"
    )
    program.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    return parse(["-t", "app"], "x")


def ended(lanes: suspects.Lanes) -> bool:
    lanes.reap()
    return not lanes


def ran(folder: Path) -> list[str]:
    file = folder / "ran"
    return file.read_text().splitlines() if file.exists() else []


def test_one_child_per_queue_with_the_queue_in_its_environment(
    options: Options, tmp_path: Path, lines: Any
) -> None:
    lanes = suspects.Lanes(options, lines.logger())
    assert not lanes
    lanes.ensure("a")
    lanes.ensure("a")
    lanes.ensure("b")
    assert lanes
    wait_until(lambda: len(ran(tmp_path)) == 2)
    (first, second) = sorted(ran(tmp_path), key=lambda line: line.split()[-1])
    assert first.startswith("-m fluxqueue_worker --suspects-lane=")
    assert (first.split()[-1], second.split()[-1]) == ("a", "b")
    lanes.kill()
    assert not lanes
    assert {line["queue"] for line in lines.named("suspects.died")} == {"a", "b"}


@pytest.mark.parametrize(("code", "event"), [("0", "suspects.ended"), ("-9", "suspects.died")])
def test_a_child_that_ended_is_collected_and_the_next_event_starts_another(
    options: Options, tmp_path: Path, lines: Any, code: str, event: str
) -> None:
    (tmp_path / "code").write_text(code)
    lanes = suspects.Lanes(options, lines.logger())
    for number in (1, 2):
        lanes.ensure("a")
        wait_until(lambda: ended(lanes))
        assert len(lines.named(event)) == number
    assert len(ran(tmp_path)) == 2


def test_a_child_that_fails_by_itself_is_started_less_and_less_often(
    options: Options, tmp_path: Path, lines: Any
) -> None:
    (tmp_path / "code").write_text("1")
    now = 0.0
    lanes = suspects.Lanes(options, lines.logger(), clock=lambda: now)
    starts: list[float] = []
    for second in range(70):
        now = float(second)
        lanes.ensure("a")
        if lanes:
            starts.append(now)
            wait_until(lambda: ended(lanes))
    assert starts == [0, 2, 6, 14, 30, 62]


def test_after_close_children_are_told_to_drain_and_none_starts(
    options: Options, tmp_path: Path, lines: Any
) -> None:
    lanes = suspects.Lanes(options, lines.logger())
    lanes.ensure("a")
    wait_until(lambda: ran(tmp_path))
    lanes.close()
    wait_until(lambda: ended(lanes))
    assert lines.named("suspects.died")[0]["code"] == -signal.SIGTERM
    lanes.ensure("a")
    assert not lanes


def test_a_child_that_can_not_start_is_reported(
    options: Options, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    lanes = suspects.Lanes(options, lines.logger())
    lanes.ensure("a")
    assert not lanes
    assert len(lines.named("suspects.failed")) == 1


@pytest.mark.parametrize(
    ("idle_for", "is_idle"), [(None, False), (0.0, False), (1.9, False), (2.0, True), (9.0, True)]
)
def test_a_lane_is_idle_two_seconds_after_its_last_task(
    idle_for: float | None, is_idle: bool
) -> None:
    consumer: Any = SimpleNamespace(idle_for=idle_for)
    assert suspects.is_idle(consumer) is is_idle
