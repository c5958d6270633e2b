"""What the faults share whose cause is a task: they call it, and wait for what has
to become of it."""

from __future__ import annotations

from support.waiting import wait_until
from support.worker_process import WorkerProcess

from .ledger import ENDS, now
from .recovery import Known, Recovery
from .stack import Stack

# The lease three times, a start of a worker or a lane after each, and other suspects
# first, which run one at a time.
THREE_LOSSES = 100.0


def poison(stack: Stack, name: str) -> Recovery:
    """Calls a task that takes every process that runs it along: it has to be dead as
    `worker_lost`, after three of them. That is what the recovery times are of."""
    began = now()
    with stack.deaths():
        number = stack.enqueue(name, expected="dead:worker_lost")
        stack.wait_until_dead(number, THREE_LOSSES)
    return Known(now() - began)


def run_to_its_end(stack: Stack, name: str, timeout: float = 60.0) -> WorkerProcess:
    """Calls a task that ends well; returns the worker that ran it."""
    number = stack.enqueue(name, expected=ENDS)

    def ended() -> list[int]:
        runs = stack.ledger.history().runs
        return [run.pid for run in runs if run.number == number and run.end is not None]

    (pid, *_) = wait_until(ended, timeout, what=f"the end of {name}") or [0]
    return next(worker for worker in stack.workers if worker.pid == pid)
