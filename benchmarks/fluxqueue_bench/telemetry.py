"""`scripts/bench telemetry`: what telemetry costs per task, side by side.

Three kinds of application, in turn, as often as there are repeats: without an
SDK, with one whose traces are not sampled, with one whose traces all are; and a
fourth that records metrics as well. Nothing is exported.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from . import machine
from .harness import FOLDER, Bench
from .sdk import MODES

Run = dict[str, float]


def alone(bench: Bench) -> Run:
    """Microseconds of telemetry's own code around a call and around a job."""
    run = subprocess.run(
        [sys.executable, "-m", "fluxqueue_bench.telemetry_alone"],
        env=bench.environment,
        cwd=FOLDER,
        check=True,
        capture_output=True,
        text=True,
    )
    found: Run = json.loads(run.stdout)
    return {f"{part}, telemetry alone": value for part, value in found.items()}


def worker(bench: Bench, n: int) -> Run:
    """Microseconds of CPU that a whole worker process takes for a task."""
    bench.reset()
    bench.enqueue("fill", n)
    with bench.worker("-c", "4", app="fluxqueue_bench.traced_tasks") as process:
        bench.wait_for(1)
        before, done = machine.cpu_seconds(process.pid), len(bench.records())
        bench.wait_for(n)
        cpu = machine.cpu_seconds(process.pid) - before
    return {"worker, whole process": cpu / (n - done) * 1e6}


def measure(bench: Bench, n: int, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Per measure, per mode, the values of the repeats."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(repeats):
        for mode in MODES:
            bench.variables["BENCH_TELEMETRY"] = mode
            for name, value in (alone(bench) | worker(bench, n)).items():
                found.setdefault(name, {m: [] for m in MODES})[mode].append(value)
    return found


def show(found: dict[str, dict[str, list[float]]]) -> None:
    """One line per measure, one column per mode: the median, and the range."""
    print("| CPU per task, µs | no SDK | not sampled | sampled | sampled, with metrics |")
    print("|---|---|---|---|---|")
    for name, by_mode in found.items():
        cells = [
            f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
            for values in by_mode.values()
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def main(quick: bool, repeats: int) -> None:
    """Measures and prints the table."""
    with Bench() as bench:
        show(measure(bench, 20_000 if quick else 60_000, repeats))
