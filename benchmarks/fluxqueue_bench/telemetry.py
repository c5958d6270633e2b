"""`scripts/bench telemetry`: what telemetry costs per task, side by side.

Six kinds of application, in turn, as often as there are repeats: without an SDK, with one
whose traces are not sampled, with one whose traces all are, with one whose tracer must make
each span, with one that records metrics as well, and with one that also exports all of it
(by OTLP over HTTP, to a collector that keeps nothing). The cost of a kind is its difference
to the application without an SDK of the same turn.

CPU time is that of whole processes, user and system. On a machine that does other
things meanwhile it still varies by a factor; `--instructions` counts instructions
instead (by valgrind's callgrind, user code alone), which vary by a percent.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable

from . import instructions
from .collector import Collector, collector
from .harness import Bench
from .sdk import MODES

Run = dict[str, float]
Found = dict[str, dict[str, list[float]]]
# µs that a kind may add.
TARGETS = {"none": 0.1, "unsampled": 1.5, "sampled": 30.0, "metrics": 30.0}
_EXPORTED = "exported"


def alone(bench: Bench) -> Run:
    """Microseconds of telemetry's own code around a call and around an attempt."""
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


def worker(bench: Bench, n: int, exports_to: Collector | None) -> Run:
    """Microseconds of CPU that a whole worker process takes for a task."""
    bench.reset()
    bench.enqueue("fill", n)
    with bench.worker("-c", "4", app="fluxqueue_bench.traced_tasks") as process:
        # The exports of all tasks are counted, so all tasks are.
        bench.wait_for(n // 10 if exports_to is None else 1)
        before, done = cpu_seconds(process.pid), bench.count()
        bench.wait_for(n)
        if exports_to is not None:
            exports_to.wait_until_quiet()
        cpu = cpu_seconds(process.pid) - before
    return {"worker, whole process": cpu / (n - done) * 1e6}


def measure(bench: Bench, n: int, repeats: int) -> Found:
    """Per measure, per mode, the values of the repeats."""
    found: Found = {}
    with collector() as server:
        bench.variables["BENCH_COLLECTOR"] = server.url
        for mode in [*MODES] * repeats:
            bench.variables["BENCH_TELEMETRY"] = mode
            exports_to = server if mode == _EXPORTED else None
            run = worker(bench, n, exports_to) | enqueue(bench, n // 4) | alone(bench)
            for name, value in run.items():
                found.setdefault(name, {m: [] for m in MODES})[mode].append(value)
    return found


def added(by_mode: dict[str, list[float]]) -> dict[str, list[float]]:
    """The cost of each mode over the first, turn by turn."""
    base = by_mode["none"]
    return {m: [v - b for v, b in zip(vs, base, strict=True)] for m, vs in by_mode.items()}


def row(name: str, by_mode: dict[str, list[float]], digits: int = 2) -> str:
    """One line of the table: the median, and the range."""
    cells = [
        f"{statistics.median(vs):,.{digits}f} ({min(vs):,.{digits}f} to {max(vs):,.{digits}f})"
        for vs in by_mode.values()
    ]
    return f"| {name} | {' | '.join(cells)} |"


def head(what: str, modes: Iterable[str]) -> str:
    titles = [what, *(MODES[mode] for mode in modes)]
    return f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|"


def show(found: Found) -> None:
    """One line per measure, one column per mode."""
    print(head("CPU per task, µs", MODES))
    targets = [f"{TARGETS[mode]:g}" if mode in TARGETS else "" for mode in MODES]
    print(f"| target: what is added | {' | '.join(targets)} |")
    for name, by_mode in found.items():
        print(row(name, by_mode))
        if "whole" in name:
            print(row(f"{name}: added", added(by_mode)))


def main(quick: bool, repeats: int, counts_instructions: bool) -> None:
    """Measures and prints the table."""
    with Bench() as bench:
        if counts_instructions:
            # Exports vary too much: how many spans go together depends on time.
            modes = [mode for mode in MODES if mode != _EXPORTED]
            print(head("instructions per task, whole worker", modes))
            n = 1_500 if quick else 3_000
            counted: dict[str, list[float]] = {}
            for mode in modes:
                bench.variables["BENCH_TELEMETRY"] = mode
                counted[mode] = [instructions.of_worker(bench, n) for _ in range(repeats)]
            print(row("worker", counted, 0))
            print(row("worker: added", added(counted), 0))
            return
        show(measure(bench, 20_000 if quick else 60_000, repeats))
