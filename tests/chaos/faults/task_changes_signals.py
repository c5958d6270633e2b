"""A task lets the process ignore SIGTERM. It can't be stopped but by SIGKILL then,
which is what an orchestrator does after its grace period."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from chaos.fault import Fault, FaultFailed, Setup
from chaos.harmful_tasks import run_to_its_end
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack

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


def inject(stack: Stack, chance: random.Random) -> Recovery:
    worker = run_to_its_end(stack, "ignore_sigterm")
    if not _ignores(worker.pid, signal.SIGTERM):
        raise FaultFailed("SIGTERM is not ignored")
    worker.process.terminate()
    time.sleep(GRACE)
    killed = stack.kill(worker)
    stack.start_worker()
    return Elsewhere(worker.pid, killed)


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


FAULT = Fault("task: ignores SIGTERM, SIGKILL after a while", inject, Setup(tasks=TASKS))
