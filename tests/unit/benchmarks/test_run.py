"""One measurement that fails ends neither the run nor what it keeps."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from fluxqueue_bench import run
from fluxqueue_bench.harness import Bench
from fluxqueue_bench.measures.measure import Measure, Values, between
from fluxqueue_bench.results import Results


def failing(failure: Exception) -> Callable[[Bench], Values]:
    def measure(_: Bench) -> Values:
        raise failure

    return measure


def test_a_run_goes_on_after_a_failure_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [
        ZeroDivisionError("float division by zero"),
        subprocess.TimeoutExpired("a worker", 40),
        redis.ConnectionError("Redis has gone"),
        TimeoutError(),
    ]
    measures = [Measure(str(n), "Worker", failing(error)) for n, error in enumerate(failures)]
    last = Measure("last", "Worker", lambda _: {"tasks/s": 1.0})
    monkeypatch.setattr(run, "suite", lambda quick: [*measures, last])
    output = tmp_path / "results.json"
    assert run.Runner("scripts/bench", 1, output).run(False, []) == 4
    rows = Results.load(output).rows
    assert [row.error for row in rows] == [
        "float division by zero",
        "Command 'a worker' timed out after 40 seconds",
        "Redis has gone",
        "TimeoutError",
        None,
    ]
    assert rows[-1].values == {"tasks/s": 1}


def test_cpu_of_a_task_needs_tasks_between_two_looks() -> None:
    assert between(3, 10) == 7
    with pytest.raises(RuntimeError, match="10 tasks had run at the first look"):
        between(10, 10)
