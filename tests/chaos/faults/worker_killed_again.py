"""A worker is killed by SIGKILL, and so is the one that runs its task the second
time: from then on that task runs alone, in a separate process."""

from __future__ import annotations

import random

from chaos.fault import Fault, FaultFailed
from chaos.ledger import Run, now
from chaos.recovery import Elsewhere, Recovery
from chaos.stack import Stack
from support.waiting import wait_until
from support.worker_process import WorkerProcess

ATTEMPTS = 5
# The lease, and then the suspects before it, which run one at a time.
LIMIT = 30.0


def inject(stack: Stack, chance: random.Random) -> Recovery:
    for _ in range(ATTEMPTS):
        with stack.take(stack.workers, chance, busy=True) as victim:
            killed = stack.kill(victim)
        stack.start_worker()
        second = _wait_for_second(stack, stack.ledger.history().in_flight(victim.pid, killed))
        if second is None:
            continue
        killed = stack.kill(second)
        stack.start_worker()
        if stack.ledger.history().in_flight(second.pid, killed):
            return Elsewhere(second.pid, killed)
    raise FaultFailed(f"no second attempt could be killed in {ATTEMPTS} attempts")


def _wait_for_second(stack: Stack, lost: list[Run]) -> WorkerProcess | None:
    """The worker that runs one of these tasks again. None if each has ended by
    now, or runs in a lane, since it had lost a worker before it had begun."""
    calls = stack.ledger.history().calls
    spared = {number for number, call in calls.items() if call.may_not_run}
    numbers = {run.number for run in lost} - spared
    first = {run.pid for run in lost}

    def again() -> list[Run]:
        runs = stack.ledger.history().runs
        return [run for run in runs if run.number in numbers and run.pid not in first]

    def begun() -> bool:
        return {run.number for run in again()} == numbers or any(
            run.over > now() for run in again()
        )

    wait_until(begun, what="second attempts")
    running = {run.pid for run in again() if run.over > now()}
    return next((worker for worker in stack.workers if worker.pid in running), None)


FAULT = Fault(
    "worker: SIGKILL, and the next one too", inject, kills=True, trials=2, limit=LIMIT, seconds=25.0
)
