"""The costs of idle queues in a worker and a scheduler."""

from __future__ import annotations

import time
from typing import Any

from fluxqueue_bench import machine
from fluxqueue_bench.harness import Bench

from .measure import Values

APP = "fluxqueue_bench.many_queues"
# Seconds: until the first leases were renewed, and over which the CPU time is measured.
SETTLED = 12.0
MEASURED = 20.0


def idle_queues(bench: Bench, queues: int) -> Values:
    """A worker that serves `queues` empty queues, beside one of a single queue that has the same
    application, and a scheduler."""
    bench.reset()
    bench.variables["BENCH_QUEUES"] = str(queues)
    names = [f"customer.{number}" for number in range(queues)]
    try:
        with bench.worker("-q", names[0], app=APP) as one:
            _until_blocked(bench, 1)
            alone = machine.pss_mib(one.pid)
        with bench.worker("-q", ",".join(names), app=APP) as worker, bench.scheduler() as scheduler:
            _until_blocked(bench, queues)
            time.sleep(SETTLED)
            processes = {
                "worker CPU %": worker.pid,
                "scheduler CPU %": scheduler.pid,
                "Redis CPU %": bench.redis.pid,
            }
            before = {what: machine.cpu_seconds(pid) for what, pid in processes.items()}
            time.sleep(MEASURED)
            used = {what: machine.cpu_seconds(pid) for what, pid in processes.items()}
            many = machine.pss_mib(worker.pid)
    finally:
        del bench.variables["BENCH_QUEUES"]
    return {
        "worker KiB per queue": (many - alone) * 1024 / queues,
        **{what: (used[what] - before[what]) / MEASURED * 100 for what in processes},
    }


def _until_blocked(bench: Bench, queues: int) -> None:
    """Until nine tenths of the queues wait: at any moment, some are being renewed."""
    deadline = time.monotonic() + 120
    while True:
        clients: Any = bench.client.info("clients")
        if clients["blocked_clients"] >= queues * 0.9:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {clients['blocked_clients']} of {queues} queues wait")
        time.sleep(0.1)
