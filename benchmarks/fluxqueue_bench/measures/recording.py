"""No-op tasks with and without the record that every other measure reads.

The record is a system call, which releases the GIL, so it also changes how threads take
turns. Without it only Redis knows how many tasks have run. So both kinds are counted there.
"""

from __future__ import annotations

import statistics
import time

from fluxqueue_bench import machine
from fluxqueue_bench.harness import Bench

from .measure import CpuSince, Values, between

_STATS = "fluxqueue:{default}:stats"


def with_and_without(bench: Bench, n: int) -> Values:
    """Both kinds in alternation."""
    runs: dict[str, list[Values]] = {"fill": [], "fill-silent": []}
    for fill in ("fill", "fill-silent", "fill-silent", "fill"):
        runs[fill].append(_run(bench, fill, n))
    found: Values = {}
    for what in ("tasks/s", "worker CPU s/1k"):
        recorded, silent = (statistics.mean(run[what] for run in kind) for kind in runs.values())
        found |= {f"with a record, {what}": recorded, f"without, {what}": silent}
        found[f"without, of the {what} with a record"] = silent / recorded
    return found


def _run(bench: Bench, fill: str, n: int) -> Values:
    bench.reset()
    bench.enqueue(fill, n)
    with bench.worker() as worker:
        first, began = _succeeded(bench, 1)
        since = CpuSince(bench, lambda: machine.cpu_seconds(worker.pid), first)
        last, ended = _succeeded(bench, n)
        return {"tasks/s": between(first, last) / (ended - began), **since.until(last)}


def _succeeded(bench: Bench, n: int, seconds: float = 120) -> tuple[int, float]:
    """How many tasks have succeeded once it is n, and when that was seen.

    Raises:
        TimeoutError: it was not seen within that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = int(bench.client.hget(_STATS, "succeeded") or 0)
        now = time.monotonic()
        if found >= n:
            return found, now
        if now > deadline:
            raise TimeoutError(f"only {found} of {n} tasks have succeeded")
        time.sleep(0.002)
