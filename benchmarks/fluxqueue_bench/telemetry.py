"""`scripts/bench telemetry`: what telemetry costs per task, side by side.

Four kinds of application, in turn, as often as there are repeats: without an SDK,
with one whose traces are not sampled, with one whose traces all are, and with one
that records metrics as well. Nothing is exported. The cost of a kind is
its difference to the application without an SDK of the same turn.

CPU time is that of whole processes, user and system. On a machine that does other
things meanwhile it still varies by a factor; `--instructions` counts instructions
instead (by valgrind's callgrind, user code alone), which vary by a percent.
"""

from __future__ import annotations

import json
import statistics
import time

from . import instructions
from .harness import Bench
from .sdk import MODES

Run = dict[str, float]
Found = dict[str, dict[str, list[float]]]
# µs that a kind may add.
TARGETS = {"none": 0.1, "unsampled": 1.5, "sampled": 30.0, "metrics": 30.0}


def alone(bench: Bench) -> Run:
    """Microseconds of telemetry's own code around a call and around a job."""
    found: Run = json.loads(bench.python("-m", "fluxqueue_bench.telemetry_alone"))
    return {f"{part}, telemetry alone": value for part, value in found.items()}


def enqueue(bench: Bench, n: int) -> Run:
    """Microseconds of CPU that a producer process takes for a call."""
    bench.reset()
    printed = bench.python("-m", "fluxqueue_bench.telemetry_enqueue", str(n))
    return {"enqueue, whole process": float(printed) * 1e6}


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process so far, by its CPU-time clock: to the
    nanosecond, where /proc counts in hundredths of a second."""
    # The id of that clock; see clock_getcpuclockid(3) and the kernel's CPUCLOCK_SCHED.
    return time.clock_gettime(~pid << 3 | 2)


def worker(bench: Bench, n: int) -> Run:
    """Microseconds of CPU that a whole worker process takes for a task."""
    bench.reset()
    bench.enqueue("fill", n)
    with bench.worker("-c", "4", app="fluxqueue_bench.traced_tasks") as process:
        bench.wait_for(n // 10)
        before, done = cpu_seconds(process.pid), bench.count()
        bench.wait_for(n)
        cpu = cpu_seconds(process.pid) - before
    return {"worker, whole process": cpu / (n - done) * 1e6}


def measure(bench: Bench, n: int, repeats: int) -> Found:
    """Per measure, per mode, the values of the repeats."""
    found: Found = {}
    for _ in range(repeats):
        for mode in MODES:
            bench.variables["BENCH_TELEMETRY"] = mode
            for name, value in (worker(bench, n) | enqueue(bench, n // 4) | alone(bench)).items():
                found.setdefault(name, {m: [] for m in MODES})[mode].append(value)
    return found


def added(by_mode: dict[str, list[float]]) -> dict[str, list[float]]:
    """The cost of each mode over the first, turn by turn."""
    base = by_mode[MODES[0]]
    return {m: [v - b for v, b in zip(vs, base, strict=True)] for m, vs in by_mode.items()}


def row(name: str, by_mode: dict[str, list[float]], digits: int = 2) -> str:
    """One line of the table: the median, and the range."""
    cells = [
        f"{statistics.median(vs):,.{digits}f} ({min(vs):,.{digits}f} to {max(vs):,.{digits}f})"
        for vs in by_mode.values()
    ]
    return f"| {name} | {' | '.join(cells)} |"


def head(what: str) -> str:
    return (
        f"| {what} | no SDK | not sampled | sampled | sampled, with metrics |\n" + "|---" * 5 + "|"
    )


def show(found: Found) -> None:
    """One line per measure, one column per mode."""
    print(head("CPU per task, µs"))
    print("| target: what is added | " + " | ".join(f"{v:g}" for v in TARGETS.values()) + " |")
    for name, by_mode in found.items():
        print(row(name, by_mode))
        if "whole" in name:
            print(row(f"{name}: added", added(by_mode)))


def main(quick: bool, repeats: int, counts_instructions: bool) -> None:
    """Measures and prints the table."""
    with Bench() as bench:
        if counts_instructions:
            print(head("instructions per task, whole worker"))
            n = 1_500 if quick else 3_000
            counted: dict[str, list[float]] = {}
            for mode in MODES:
                bench.variables["BENCH_TELEMETRY"] = mode
                counted[mode] = [instructions.of_worker(bench, n) for _ in range(repeats)]
            print(row("worker", counted, 0))
            print(row("worker: added", added(counted), 0))
            return
        show(measure(bench, 20_000 if quick else 60_000, repeats))
