"""The measures that all libraries have in common: the same tasks, the same
records, the same Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from fluxqueue_bench.harness import Bench
from fluxqueue_bench.measures.measure import CpuSince, Values, latency

from . import processes
from .library import Library, WorkerSettings


@dataclass(frozen=True)
class Compared:
    """One measure of one library."""

    group: str
    name: str
    run: Callable[[Bench, Library], Values]


def measures(library: Library) -> list[Compared]:
    """The measures that this library supports."""
    found = [
        Compared("Enqueue, compared", mode, _enqueue(mode)) for mode in ("seq", "gather", "bulk")
    ]
    for settings in library.workers:
        if not settings.available:
            continue
        found.append(Compared("Worker, compared", settings.name, _worker(settings)))
        if settings.idle:
            found.append(Compared("Idle, compared", settings.name, _idle(settings)))
    if library.results is not None:
        found.append(Compared("Results, compared", "results", _results(library.results)))
    return found


def _enqueue(mode: str) -> Callable[[Bench, Library], Values]:
    def run(bench: Bench, library: Library) -> Values:
        bench.reset()
        n = library.enqueued * (2 if mode == "bulk" else 1)
        before = int(bench.client.info("memory")["used_memory"])
        printed = processes.produce(library, bench, mode, n, {})
        if printed.startswith("no "):  # this library has no such way
            return {}
        after = int(bench.client.info("memory")["used_memory"])
        found = json.loads(printed)
        return {
            "tasks/s": n / found["seconds"],
            "CPU us/task": found["cpu"] / n * 1e6,
            "Redis bytes/task": (after - before) / n,
        }

    return run


def _worker(settings: WorkerSettings) -> Callable[[Bench, Library], Values]:
    def run(bench: Bench, library: Library) -> Values:
        bench.reset()
        processes.produce(library, bench, "fill", settings.tasks, settings.variables)
        bench.forget_records()
        launched = time.time_ns()
        with processes.worker(library, settings, bench) as worker:
            bench.wait_for(1, 30)
            done = bench.count()
            since = CpuSince(bench, worker.cpu_seconds, done)
            bench.wait_for(settings.tasks)
            cpu = since.until(settings.tasks)
        ends = sorted(end for _, end, _ in bench.records())
        return {
            "tasks/s": (len(ends) - 1) / ((ends[-1] - ends[0]) / 1e9),
            **cpu,
            "launch to first task ms": (ends[0] - launched) / 1e6,
        }

    return run


def _idle(settings: WorkerSettings) -> Callable[[Bench, Library], Values]:
    def run(bench: Bench, library: Library) -> Values:
        bench.reset()
        with processes.worker(library, settings, bench) as worker:
            time.sleep(2.5)
            processes.produce(library, bench, "fill", 20, settings.variables)
            bench.wait_for(20, 30)
            time.sleep(1)
            before = worker.cpu_seconds()
            time.sleep(4)
            cpu, pss = (worker.cpu_seconds() - before) / 4, worker.pss_mib()
            bench.forget_records()
            processes.produce(library, bench, "latency", 300, settings.variables)
            bench.wait_for(300, 30)
        return {"PSS MiB": pss, "CPU %": cpu * 100, **latency(bench)}

    return run


def _results(settings: WorkerSettings) -> Callable[[Bench, Library], Values]:
    def run(bench: Bench, library: Library) -> Values:
        bench.reset()
        with processes.worker(library, settings, bench):
            found: Values = json.loads(processes.script(library, bench, "results", {}))
        return found

    return run
