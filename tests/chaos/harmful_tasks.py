"""The common part of faults that a task causes: they call it, and wait for its
expected end."""

from __future__ import annotations

from collections.abc import Mapping

from support.waiting import wait_until
from support.worker_process import WorkerProcess

from .death_watch import is_dead
from .fault import FaultFailed
from .ledger import ENDS, Run, now
from .recovery import Known, Recovery
from .remains import read_remains
from .stack import QUEUE, Stack

# `--max-deliveries` of the scheduler, as it is by default.
DELIVERIES = 3

# The lease three times, a start of a worker or a lane after each, and other suspects
# first, which run one at a time.
THREE_LOSSES = 100.0


def poison(stack: Stack, name: str) -> Recovery:
    """Calls a task that takes every process that runs it along: it has to be dead as
    `worker_lost`, after three of them, and nothing else may be. That is what the
    recovery times are of.

    Raises:
        FaultFailed: it took no process along.
    """
    began = now()
    with stack.deaths():
        number = stack.enqueue(name, expected="dead:worker_lost")
        stack.wait_until_dead(number, THREE_LOSSES)
    stack.violations += judge_poison(
        number,
        [run for run in stack.ledger.history().runs if run.number == number],
        stack.admin(lambda client: read_remains(client, QUEUE)).dead,
    )
    return Known(now() - began)


def judge_poison(number: int, runs: list[Run], dead: Mapping[int, str]) -> list[str]:
    """Returns the problems once the task `number` is dead, one line each.

    Args:
        runs: its attempts.
        dead: all that is dead, with the reason.

    Raises:
        FaultFailed: a process that it had begun in goes on, or it has come to an end.
    """
    if ended := [run.pid for run in runs if run.over != float("inf") or not is_dead(run.pid)]:
        raise FaultFailed(f"task {number} took no process along: {ended}")
    wrong = []
    if len({run.pid for run in runs}) != DELIVERIES or len(runs) != DELIVERIES:
        pids = [run.pid for run in runs]
        wrong.append(f"task {number} took {len(pids)} processes along, not {DELIVERIES}: {pids}")
    innocent = sorted(other for other, why in dead.items() if why == "worker_lost")
    innocent = [other for other in innocent if other != number]
    if innocent:
        wrong.append(f"dead as worker_lost beside task {number}: {innocent}")
    return wrong


def run_to_its_end(stack: Stack, name: str, timeout: float = 60.0) -> WorkerProcess:
    """Calls a task that ends well; returns the worker that ran it."""
    number = stack.enqueue(name, expected=ENDS)

    def ended() -> list[int]:
        runs = stack.ledger.history().runs
        return [run.pid for run in runs if run.number == number and run.end is not None]

    (pid, *_) = wait_until(ended, timeout, what=f"the end of {name}") or [0]
    return next(worker for worker in stack.workers if worker.pid == pid)
