"""A task lets the process ignore SIGTERM. It can't be stopped but by SIGKILL then,
which is what an orchestrator does after its grace period, while it goes on with tasks."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from chaos.fault import Fault, FaultFailed, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.ledger import now
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

# Python lets only the main thread do it, where no task runs; a library in C may.
TASKS = """
import ctypes
import signal

@fluxqueue.task_with_context()
def ignore_sigterm(ctx: Context, number):
    with ledger.run(number, ctx.metadata.retries):
        libc = ctypes.CDLL(None)
        libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        libc.signal(signal.SIGTERM, ctypes.c_void_p(int(signal.SIG_IGN)))
"""
GRACE = 3.0
# A worker that was busy a moment before it was killed may have had nothing just then.
ATTEMPTS = 5


def inject(stack: Stack, chance: random.Random) -> Recovery:
    for _ in range(ATTEMPTS):
        worker = run_to_its_end(stack, "ignore_sigterm")
        if not _ignores(worker.pid, signal.SIGTERM):
            raise FaultFailed("SIGTERM is not ignored")
        worker.process.terminate()
        _wait_for_a_start(stack, worker.pid, now() + GRACE)
        with stack.take([worker], chance, busy=True):
            killed = stack.kill(worker)
        stack.start_worker()
        if stack.ledger.history().in_flight(worker.pid, killed):
            return Elsewhere(worker.pid, killed)
    raise FaultFailed(f"no worker was busy when it was killed, in {ATTEMPTS} attempts")


def _wait_for_a_start(stack: Stack, pid: int, moment: float) -> None:
    """A worker that had drained would begin nothing any more."""

    def started() -> bool:
        runs = stack.ledger.history().runs
        return any(run.pid == pid and run.start >= moment for run in runs)

    wait_until(started, what="a task that begins although SIGTERM has come")


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


FAULT = Fault(
    "task: ignores SIGTERM, SIGKILL after a while", inject, Setup(tasks=TASKS), seconds=15.0
)
