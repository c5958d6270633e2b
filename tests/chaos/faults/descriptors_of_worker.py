"""A worker's table of file descriptors is full while its connections break.

A task opens files until no descriptor is left, and takes every one that becomes
free, for a few seconds.
"""

from __future__ import annotations

import random
import resource

from chaos.fault import WORKER, Fault, FaultFailed, Setup
from chaos.ledger import ENDS, now
from chaos.pause import pause
from chaos.recovery import Flow, Recovery
from chaos.stack import Stack
from support.waiting import wait_until

TASKS = """
@fluxqueue.task_with_context()
def take_all_descriptors(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        taken, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                time.sleep(0.0005)
        for descriptor in taken:
            os.close(descriptor)
"""
# The worker's limit of descriptors; a table of a million takes long to fill.
TABLE = 128
# Within the lease of 10 s, which was renewed 3.3 s before.
SHORTEST, LONGEST = 1.0, 4.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    seconds = chance.uniform(SHORTEST, LONGEST)
    for worker in stack.workers:
        _, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (TABLE, hard))
    number = stack.enqueue("take_all_descriptors", seconds, expected=ENDS)
    pid = wait_until(lambda: _runs_in(stack, number), what="a worker that runs it")
    (victim,) = (worker for worker in stack.workers if worker.pid == pid)
    with stack.outage((victim.pid,)):
        pause(seconds / 4)
        if stack.proxy_of(victim).cut_all() == 0:
            raise FaultFailed("there was no connection to cut")
        wait_until(lambda: not _runs_in(stack, number), what="its end")
    return Flow(now())


def _runs_in(stack: Stack, number: int) -> int | None:
    runs = [run for run in stack.ledger.history().runs if run.number == number]
    return runs[-1].pid if runs and runs[-1].end is None else None


FAULT = Fault(
    "descriptors: full table of a worker",
    inject,
    setup=Setup(proxied=frozenset({WORKER}), tasks=TASKS),
    trials=2,
)
