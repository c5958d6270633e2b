"""The table of `scripts/bench telemetry`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from fluxqueue_bench import collector, telemetry
from fluxqueue_bench.harness import FOLDER
from fluxqueue_bench.sdk import MODES


def test_each_kind_of_application_has_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    values = {mode: [float(number), 10.0 + number] for number, mode in enumerate(MODES)}
    telemetry.show({"worker, whole process": values})
    head, _, targets, cpu, added = capsys.readouterr().out.splitlines()
    assert head == f"| CPU per task, µs | {' | '.join(MODES.values())} |"
    assert {line.count("|") for line in (head, targets, cpu, added)} == {len(MODES) + 2}
    assert set(telemetry.TARGETS) < set(MODES)
    # Of both repeats: each is compared with the application without an SDK of the same turn.
    assert added.split(" | ")[1:3] == ["0.00 (0.00 to 0.00)", "1.00 (1.00 to 1.00)"]


def test_the_collector_waits_until_nothing_more_is_sent() -> None:
    """Else the CPU of the last exports would not be counted."""
    with collector.collector() as server:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 1:  # one more export, while the first pause lasts
                urllib.request.urlopen(f"{server.url}/v1/traces", b"spans").close()
            else:
                server.heard -= seconds  # as if the time had passed

        server.wait_until_quiet(sleep)
    assert len(slept) == 2


SHORT = """
from fluxqueue_bench import telemetry_alone
telemetry_alone.CALLS, telemetry_alone.ROUNDS = 2, 1
telemetry_alone.main()
"""


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "exported"])
def test_telemetry_alone_is_measured_with_each_kind_of_sdk(mode: str) -> None:
    """Its stand-ins for producer and attempt have all that telemetry reads."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER), "BENCH_TELEMETRY": mode}
    run = subprocess.run(
        [sys.executable, "-c", SHORT], env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.stderr == "" and set(json.loads(run.stdout)) == {"enqueue", "worker"}
