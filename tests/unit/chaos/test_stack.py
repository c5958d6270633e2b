"""A process that had ended before is not one that a fault has killed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos.fault import Setup
from chaos.stack import Stack, was_killed
from support.logging_process import LoggingProcess


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """One whose Redis is not started."""
    stack = Stack(tmp_path, Setup(), random.Random(1))
    yield stack
    stack.ledger.close()


@pytest.fixture
def run(stack: Stack) -> Iterator[Any]:
    started = []

    def run(source: str) -> LoggingProcess:
        (stack.folder / "program.py").write_text(source)
        process = LoggingProcess(stack.folder, "redis://127.0.0.1", "program", {})
        started.append(process)
        group: list[Any] = stack.workers
        group.append(process)
        return process

    yield run
    for process in started:
        with process:
            pass


def test_a_worker_that_runs_is_killed_and_lost(stack: Stack, run: Any) -> None:
    worker = run("import time\ntime.sleep(600)")
    stack.kill(worker)
    assert was_killed(worker)
    assert [loss.pid for loss in stack.losses] == [worker.pid]
    assert stack.workers == []


@pytest.mark.parametrize("code", [0, 1])
def test_killing_a_worker_that_has_already_ended_fails(stack: Stack, run: Any, code: int) -> None:
    worker = run(f"raise SystemExit({code})")
    worker.wait()
    with pytest.raises(AssertionError, match="had ended before it was killed"):
        stack.kill(worker)
    assert stack.losses == []


def test_a_drain_may_have_ended_well_and_then_nothing_may_run_twice(stack: Stack, run: Any) -> None:
    worker = run("")
    worker.wait()
    stack.kill(worker, draining=True)
    assert not was_killed(worker)
    assert stack.losses == []
    assert stack.workers == []


def test_killing_a_worker_whose_drain_failed_fails(stack: Stack, run: Any) -> None:
    worker = run("raise SystemExit(1)")
    worker.wait()
    with pytest.raises(AssertionError, match="had ended before it was killed"):
        stack.kill(worker, draining=True)
